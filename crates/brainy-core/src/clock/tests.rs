use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Wake;

use super::*;

/// Far more than any of these tests takes; only a hang is longer.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(5);

/// Sends a message at each wake.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if self.0.send(()).is_err() {
            // Nobody listens any more: the test has seen enough.
        }
    }
}

fn bell() -> (Waker, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    (Waker::from(Arc::new(Bell(sender))), receiver)
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let (waker, rung) = bell();
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = poll(&mut future, &waker) {
            return output;
        }
        rung.recv_timeout(PATIENCE).expect("the future was woken");
    }
}

#[test]
fn a_sleep_ends_not_before_its_moment() {
    let start = SystemClock.now();
    block_on(SystemClock.sleep(SHORT));
    assert!(SystemClock.now().since(start) >= SHORT);
    block_on(SystemClock.sleep_until(start));
}

#[test]
fn no_sleep_of_many_threads_is_lost() {
    let threads: Vec<_> = (0..8_u64)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..200_u64 {
                    block_on(SystemClock.sleep(Duration::from_micros((thread * 37 + round * 13) % 700)));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_earlier_sleep_is_not_held_up_by_a_later_one() {
    let (waker, _rung) = bell();
    let mut forever = SystemClock.sleep(Duration::MAX);
    assert!(poll(&mut forever, &waker).is_pending());
    block_on(SystemClock.sleep(SHORT));
    assert!(poll(&mut forever, &waker).is_pending());
}

#[test]
fn the_last_waker_of_a_sleep_is_the_one_that_is_called() {
    let (first, first_rung) = bell();
    let (second, second_rung) = bell();
    let mut sleep = SystemClock.sleep(Duration::from_millis(50));
    assert!(poll(&mut sleep, &first).is_pending());
    if poll(&mut sleep, &second).is_pending() {
        second_rung.recv_timeout(PATIENCE).unwrap();
        assert!(first_rung.try_recv().is_err(), "the waker that was replaced stays silent");
    }
}

#[test]
fn a_dropped_sleep_calls_nobody() {
    let (waker, rung) = bell();
    let mut sleep = SystemClock.sleep(Duration::from_millis(20));
    assert!(poll(&mut sleep, &waker).is_pending());
    drop(sleep);
    drop(waker);
    // The timer held the last copy of the waker, and with it of the sender.
    assert_eq!(rung.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

/// A task whose last waker lies in the timer, and which holds another sleep.
struct Holder {
    _sleep: Mutex<Sleep>,
}

impl Wake for Holder {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn dropping_the_last_waker_may_drop_another_sleep() {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for replace in [false, true] {
            let (waker, _rung) = bell();
            let mut inner = SystemClock.sleep(PATIENCE);
            assert!(poll(&mut inner, &waker).is_pending());
            let holder = Waker::from(Arc::new(Holder { _sleep: Mutex::new(inner) }));
            let mut outer = SystemClock.sleep(PATIENCE);
            assert!(poll(&mut outer, &holder).is_pending());
            drop(holder);
            if replace {
                assert!(poll(&mut outer, &waker).is_pending());
            }
            drop(outer);
        }
        sender.send(()).unwrap();
    });
    receiver.recv_timeout(PATIENCE).expect("no sleep waits for itself");
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics, on purpose");
    }
}

#[test]
fn a_waker_that_panics_ends_no_other_sleep() {
    let mut sleep = SystemClock.sleep(SHORT);
    let pending = poll(&mut sleep, &Waker::from(Arc::new(Panics))).is_pending();
    block_on(SystemClock.sleep(4 * SHORT));
    block_on(SystemClock.sleep(SHORT));
    assert!(pending && poll(&mut sleep, Waker::noop()).is_ready());
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_deadline_ends_what_hangs_and_leaves_alone_what_does_not() {
    let soon = SystemClock.now().after(SHORT);
    assert_eq!(block_on(before(&SystemClock, soon, std::future::ready(3))), Some(3));
    let dropped = AtomicUsize::new(0);
    let counted = Counted(&dropped);
    let hangs = async move {
        let _counted = counted;
        std::future::pending::<()>().await;
    };
    assert_eq!(block_on(before(&SystemClock, soon, hangs)), None);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(block_on(before(&SystemClock, Moment::default(), std::future::ready(4))), Some(4), "what is ready is never late");
}

#[test]
fn moments_neither_wrap_nor_go_below_zero() {
    let origin = Moment::default();
    let end = origin.after(Duration::MAX);
    assert_eq!(end.after(SHORT), end);
    assert_eq!(origin.since(end), Duration::ZERO);
    assert_eq!(end.since(origin), Duration::MAX);
    assert_eq!(Moment::after_origin(SHORT).since_origin(), SHORT);
    let now = SystemClock.now();
    assert!(SystemClock.now() >= now);
    // 2020-01-01: a machine whose clock stands before that has no business here.
    assert!(SystemClock.wall_ms() > 1_577_836_800_000);
}
