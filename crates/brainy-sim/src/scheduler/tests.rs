use brainy_core::Clock;

use super::*;

/// What `count` processes write down that each sleep a few times.
fn run(seed: u64, count: u32) -> (Vec<u32>, u64) {
    let scheduler = Scheduler::new(seed);
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..count {
        let order = Arc::clone(&order);
        let process = scheduler.process(format!("p{number}"), move |life| {
            let order = Arc::clone(&order);
            Box::pin(async move {
                for _ in 0..3 {
                    life.clock().sleep(Duration::from_secs(1)).await;
                    order.lock().unwrap().push(number);
                    life.scheduler().trace().event(&[u64::from(number)]);
                }
            })
        });
        scheduler.start(process);
    }
    assert_eq!(scheduler.run_for(Duration::from_secs(100)), End::Idle);
    assert_eq!(scheduler.now(), Duration::from_secs(3));
    scheduler.end();
    let order = order.lock().unwrap().clone();
    (order, scheduler.trace().hash())
}

#[test]
fn a_seed_fixes_the_order_and_another_seed_gives_another() {
    assert_eq!(run(1, 8), run(1, 8));
    assert_ne!(run(1, 8), run(2, 8));
}

#[test]
fn a_killed_process_stops_where_it_stands_and_starts_anew() {
    struct Dropped(Arc<Mutex<u32>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let scheduler = Scheduler::new(1);
    let (dropped, ended) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let process = {
        let (dropped, ended) = (Arc::clone(&dropped), Arc::clone(&ended));
        scheduler.process("p", move |life| {
            let (guard, ended) = (Dropped(Arc::clone(&dropped)), Arc::clone(&ended));
            Box::pin(async move {
                let _guard = guard;
                let own = life.clone();
                life.spawn(async move { own.clock().sleep(Duration::from_secs(5)).await });
                life.clock().sleep(Duration::from_secs(10)).await;
                if life.number() == 1 {
                    // Its own death: nothing after it is run.
                    life.scheduler().kill(life.process());
                    life.scheduler().start_after(life.process(), Duration::from_secs(1));
                    life.clock().sleep(Duration::from_secs(1)).await;
                }
                ended.lock().unwrap().push(life.number());
            })
        })
    };
    scheduler.start(process);
    assert_eq!(scheduler.run_for(Duration::from_secs(10)), End::Time);
    assert_eq!(*dropped.lock().unwrap(), 1);
    assert_eq!(scheduler.run_for(Duration::from_secs(100)), End::Idle);
    assert_eq!((*ended.lock().unwrap()).as_slice(), [2]);
    assert_eq!(*dropped.lock().unwrap(), 2);
}

#[test]
fn a_pause_stops_the_process_and_a_suspended_machine_its_clock_too() {
    for (suspended, woke_at) in [(false, 100), (true, 105)] {
        let scheduler = Scheduler::new(1);
        let woke = Arc::new(Mutex::new(None));
        let process = {
            let woke = Arc::clone(&woke);
            scheduler.process("p", move |life| {
                let woke = Arc::clone(&woke);
                Box::pin(async move {
                    life.clock().sleep(Duration::from_secs(10)).await;
                    *woke.lock().unwrap() = Some((life.scheduler().now().as_secs(), life.clock().now().since_origin().as_secs()));
                })
            })
        };
        scheduler.start(process);
        assert_eq!(scheduler.run_for(Duration::from_secs(5)), End::Time);
        scheduler.pause(process, Duration::from_secs(95), suspended);
        assert_eq!(scheduler.run_for(Duration::from_secs(1_000)), End::Idle);
        let (world, local) = woke.lock().unwrap().unwrap();
        assert_eq!((world, local), (woke_at, if suspended { 10 } else { 100 }));
    }
}

#[test]
fn clocks_run_at_their_own_rates_and_walls_jump() {
    let scheduler = Scheduler::new(1);
    let shown = Arc::new(Mutex::new(Vec::new()));
    for ppm in [-10_000, 0, 10_000] {
        let shown = Arc::clone(&shown);
        let process = scheduler.process("p", move |life| {
            let shown = Arc::clone(&shown);
            Box::pin(async move {
                life.clock().sleep(Duration::from_secs(1_000)).await;
                shown.lock().unwrap().push((life.scheduler().now().as_secs(), life.clock().now().since_origin().as_secs()));
            })
        });
        scheduler.set_rate(process, ppm);
        let before = scheduler.clock(process).wall_ms();
        scheduler.jump_wall_clock(process, -5);
        assert_eq!(scheduler.clock(process).wall_ms(), before - 5);
        scheduler.start(process);
    }
    assert_eq!(scheduler.run_for(Duration::from_secs(2_000)), End::Idle);
    assert_eq!(*shown.lock().unwrap(), [(990, 1_000), (1_000, 1_000), (1_010, 1_000)]);
}
