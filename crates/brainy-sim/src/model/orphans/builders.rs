//! Builders upload a segment, name it in a manifest, publish that in the log and in `ctl/head`. Nobody knows which of them is dead.

use std::collections::BTreeSet;

use brainy_coordination::internals::{
    Bounds, COMPACTOR, ManifestName, Mutant, Newest, SegmentName, is_reachable, is_segment_garbage, is_unpublishable, next_bounds,
};
use brainy_core::{ContentHash, Nonce};

use super::super::case::Case;
use super::super::helping::Deed;
use super::super::helping::book::{Formed, Library, Log, SlotSent, What};

/// How segments are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum NamedBy {
    /// By token and build.
    Build,
    /// By what is in them: all builders make the same (an earlier text).
    Content,
    /// So, and who finds it there does not upload it.
    ContentOnce,
}

/// The bounds.
#[derive(Clone, Debug)]
pub(in super::super) struct Builders {
    pub(in super::super) builders: usize,
    pub(in super::super) collectors: usize,
    pub(in super::super) naming: NamedBy,
    /// Uploads that arrive once more, late.
    pub(in super::super) late: u8,
    /// Claims that collectors make, so that what the silent left becomes garbage.
    pub(in super::super) claims: u8,
    /// A collector reads the state after it listed, as long as it does not look whether the log has gone on.
    pub(in super::super) lists_first: bool,
    /// Just before it deletes, a collector looks again whether anybody names it.
    pub(in super::super) looks_again: bool,
    /// A rule that is broken outside of the shipped decisions.
    pub(in super::super) mutant: Option<Mutant>,
    pub(in super::super) library: Library,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Idle,
    Claimed,
    Uploaded,
    /// Its manifest lies there.
    Named,
    /// Its record had effect.
    Published,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Builder {
    stage: Stage,
    token: u8,
    /// The position of the state that it built.
    seq: u8,
}

/// A collector's round: its steps in their order.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Round {
    collected: u8,
    head: Option<(u8, u8)>,
    state: Option<Log>,
    segments: Option<BTreeSet<u8>>,
    manifests: Option<Vec<u8>>,
    doomed_segments: BTreeSet<u8>,
    doomed_manifests: BTreeSet<u8>,
}

/// All of it. A manifest is that of its builder; a segment has the number of its name.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(in super::super) struct World {
    log: Log,
    builders: Vec<Builder>,
    /// Names of segments that are there, and the token of who uploaded each first.
    segments: BTreeSet<u8>,
    uploader: Vec<u8>,
    manifests: BTreeSet<u8>,
    /// Those whose record had effect.
    published: BTreeSet<u8>,
    boundary: u8,
    /// Position and token of the manifest that `ctl/head` names.
    head: Option<(u8, u8)>,
    rounds: Vec<Option<Round>>,
    late: u8,
    claims: u8,
}

/// A step; the numbers are those of builders, collectors and objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    Claim(u8),
    Upload(u8),
    UploadAgain(u8),
    Name(u8),
    Publish(u8),
    PointHead(u8),
    Supersede,
    Raise,
    Begin(u8),
    ReadState(u8),
    ListSegments(u8),
    ListManifests(u8),
    RemoveSegment(u8, u8),
    RemoveManifest(u8, u8),
    Finish(u8),
}

fn name_of(seq: u8, token: u8) -> ManifestName {
    ManifestName { seq: seq.into(), token: token.into(), hash: ContentHash::of(&[seq, token]) }
}

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("a model's log is short")
}

impl Builders {
    pub(in super::super) fn new(builders: usize, collectors: usize) -> Self {
        Self {
            builders,
            collectors,
            naming: NamedBy::Build,
            late: 1,
            claims: 1,
            lists_first: false,
            looks_again: false,
            mutant: None,
            library: Library::default(),
        }
    }

    fn segment_of(&self, builder: u8) -> u8 {
        if self.naming == NamedBy::Build { builder } else { 0 }
    }

    fn append(&self, log: &Log, writer: u8, wseq: u8, what: What) -> Log {
        let formed = Formed { base: log.len(), writer, wseq, what };
        self.library.append(log, &SlotSent { batches: vec![formed], scan_base: log.len(), listed: None }, &[Deed::Add])
    }

    fn bounds(world: &World) -> Bounds {
        Bounds { boundary: world.boundary.into(), manifest: world.head.map(|(seq, token)| name_of(seq, token)) }
    }

    fn set(world: &mut World, bounds: Bounds) {
        world.boundary = small(bounds.boundary);
        world.head = bounds.manifest.map(|name| (small(name.seq), small(name.token)));
    }

    /// Decides what a round removes, once it has seen everything.
    fn judge(&self, world: &World, round: &mut Round) {
        let (Some(state), Some(segments), Some(manifests)) = (&round.state, &round.segments, &round.manifests) else { return };
        let newest = Newest::of(state.state());
        let head = round.head.map(|(seq, token)| name_of(seq, token));
        let mut kept = BTreeSet::new();
        for builder in manifests {
            let Builder { seq, token, .. } = world.builders[usize::from(*builder)];
            let name = name_of(seq, token);
            let reachable = is_reachable(&name, round.collected.into(), head.as_ref(), &BTreeSet::new());
            if !reachable || (is_unpublishable(newest, &name) && head != Some(name)) {
                round.doomed_manifests.insert(*builder);
            } else {
                kept.insert(self.segment_of(*builder));
            }
        }
        for name in segments {
            let token = world.uploader[usize::from(*name)].into();
            let segment = SegmentName { token, build: Nonce::from_bytes([*name; 16]), hash: ContentHash::of(&[*name]) };
            let is_kept = kept.contains(name);
            let aged = self.mutant == Some(Mutant::SegmentsByAge) && !is_kept;
            if is_segment_garbage(newest, &segment, is_kept) || aged {
                round.doomed_segments.insert(*name);
            }
        }
    }

    fn is_named(&self, world: &World, segment: u8) -> bool {
        world.published.iter().any(|builder| world.manifests.contains(builder) && self.segment_of(*builder) == segment)
    }
}

impl Case for Builders {
    type State = World;
    type Step = Step;

    fn properties(&self) -> &'static [&'static str] {
        &["P8"]
    }

    fn first(&self) -> World {
        World {
            log: Library::empty(100),
            builders: vec![Builder { stage: Stage::Idle, token: 0, seq: 0 }; self.builders],
            segments: BTreeSet::new(),
            uploader: vec![0; self.builders],
            manifests: BTreeSet::new(),
            published: BTreeSet::new(),
            boundary: 0,
            head: None,
            rounds: vec![None; self.collectors],
            late: self.late,
            claims: self.claims,
        }
    }

    fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        for (index, builder) in (0..).zip(&world.builders) {
            steps.extend(match builder.stage {
                Stage::Idle => Some(Step::Claim(index)),
                Stage::Claimed => Some(Step::Upload(index)),
                Stage::Uploaded => Some(Step::Name(index)),
                Stage::Named => Some(Step::Publish(index)),
                Stage::Published => Some(Step::PointHead(index)),
                Stage::Done => None,
            });
            if world.late > 0 && !matches!(builder.stage, Stage::Idle | Stage::Claimed) {
                steps.push(Step::UploadAgain(index));
            }
        }
        if world.claims > 0 {
            steps.push(Step::Supersede);
        }
        if world.head.is_some_and(|(seq, _)| seq > world.boundary) {
            steps.push(Step::Raise);
        }
        for (index, round) in (0..).zip(&world.rounds) {
            let Some(round) = round else {
                steps.push(Step::Begin(index));
                continue;
            };
            let (state, segments, manifests) = (round.state.is_some(), round.segments.is_some(), round.manifests.is_some());
            match (self.lists_first, state, segments, manifests) {
                (false, false, ..) | (true, false, _, true) => steps.push(Step::ReadState(index)),
                (_, _, false, _) => steps.push(Step::ListSegments(index)),
                (_, _, true, false) => steps.push(Step::ListManifests(index)),
                _ => {
                    steps.push(Step::Finish(index));
                    steps.extend(round.doomed_segments.iter().map(|name| Step::RemoveSegment(index, *name)));
                    steps.extend(round.doomed_manifests.iter().map(|name| Step::RemoveManifest(index, *name)));
                }
            }
        }
    }

    fn after(&self, world: &World, step: &Step) -> Option<World> {
        let mut after = world.clone();
        match *step {
            Step::Claim(b) => {
                let token = small(world.log.state().claim(COMPACTOR)) + 1;
                after.log = self.append(&world.log, b, 1, What::Claim(token));
                after.builders[usize::from(b)] = Builder { stage: Stage::Claimed, token, seq: after.log.len() };
            }
            Step::Upload(b) => {
                let (name, token) = (self.segment_of(b), world.builders[usize::from(b)].token);
                let there = world.segments.contains(&name);
                if !(there && self.naming == NamedBy::ContentOnce) {
                    after.segments.insert(name);
                }
                if world.uploader[usize::from(name)] == 0 {
                    after.uploader[usize::from(name)] = token;
                }
                after.builders[usize::from(b)].stage = Stage::Uploaded;
            }
            Step::UploadAgain(b) => {
                after.late -= 1;
                after.segments.insert(self.segment_of(b));
            }
            Step::Name(b) => {
                after.manifests.insert(b);
                after.builders[usize::from(b)].stage = Stage::Named;
            }
            Step::Publish(b) => {
                let Builder { seq, token, .. } = world.builders[usize::from(b)];
                after.log = self.append(&world.log, b, 2, What::Publish { seq, token });
                let effective = after.log.state().published_seq() == u64::from(seq) && world.log.state().published_seq() < u64::from(seq);
                if effective {
                    after.published.insert(b);
                }
                after.builders[usize::from(b)].stage = if effective { Stage::Published } else { Stage::Done };
            }
            Step::PointHead(b) => {
                let Builder { seq, token, .. } = world.builders[usize::from(b)];
                let wanted = Bounds { boundary: 0, manifest: Some(name_of(seq, token)) };
                Self::set(&mut after, next_bounds(Self::bounds(world), wanted));
                after.builders[usize::from(b)].stage = Stage::Done;
            }
            Step::Supersede => {
                after.claims -= 1;
                let token = small(world.log.state().claim(COMPACTOR)) + 1;
                after.log = self.append(&world.log, 50 + world.claims, 1, What::Claim(token));
            }
            Step::Raise => {
                let wanted = Bounds { boundary: world.head?.0.into(), manifest: None };
                Self::set(&mut after, next_bounds(Self::bounds(world), wanted));
            }
            Step::Begin(c) => {
                after.rounds[usize::from(c)] = Some(Round {
                    collected: world.boundary,
                    head: world.head,
                    state: None,
                    segments: None,
                    manifests: None,
                    doomed_segments: BTreeSet::new(),
                    doomed_manifests: BTreeSet::new(),
                });
            }
            Step::ReadState(c) => after.rounds[usize::from(c)].as_mut()?.state = Some(world.log.clone()),
            Step::ListSegments(c) => after.rounds[usize::from(c)].as_mut()?.segments = Some(world.segments.clone()),
            Step::ListManifests(c) => after.rounds[usize::from(c)].as_mut()?.manifests = Some(world.manifests.iter().copied().collect()),
            Step::RemoveSegment(c, name) => {
                after.rounds[usize::from(c)].as_mut()?.doomed_segments.remove(&name);
                if !(self.looks_again && self.is_named(world, name)) {
                    after.segments.remove(&name);
                }
            }
            Step::RemoveManifest(c, builder) => {
                after.rounds[usize::from(c)].as_mut()?.doomed_manifests.remove(&builder);
                after.manifests.remove(&builder);
            }
            Step::Finish(c) => after.rounds[usize::from(c)] = None,
        }
        if let Step::ReadState(c) | Step::ListManifests(c) = *step {
            let mut round = after.rounds[usize::from(c)].take()?;
            self.judge(&after, &mut round);
            if round.state.is_some() && round.segments.is_some() && round.manifests.is_some() {
                // What was seen is decided.
                (round.state, round.segments, round.manifests) = (Some(Library::empty(100)), Some(BTreeSet::new()), Some(Vec::new()));
            }
            after.rounds[usize::from(c)] = Some(round);
        }
        (after != *world).then_some(after)
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let newest = world.log.state().published_seq();
        let needed = |builder: &u8| {
            let Builder { seq, token, .. } = world.builders[usize::from(*builder)];
            world.head == Some((seq, token)) || u64::from(seq) == newest || seq >= world.boundary
        };
        let whole = |builder: &u8| world.manifests.contains(builder) && world.segments.contains(&self.segment_of(*builder));
        (!world.published.iter().filter(|builder| needed(builder)).all(whole)).then_some("P8")
    }

    fn words(&self, world: &World, step: &Step) -> String {
        let token = |b: &u8| world.builders[usize::from(*b)].token;
        match step {
            Step::Claim(b) => format!("builder {b} claims token {}", world.log.state().claim(COMPACTOR) + 1),
            Step::Upload(b) => format!("builder {b} uploads its segment under token {}", token(b)),
            Step::UploadAgain(b) => format!("the segment of builder {b} arrives once more"),
            Step::Name(b) => format!("builder {b} writes its manifest"),
            Step::Publish(b) => {
                format!("the record of builder {b} comes into the log, which stands at token {}", world.log.state().claim(COMPACTOR))
            }
            Step::PointHead(b) => format!("builder {b} lets ctl/head name its manifest"),
            Step::Supersede => format!("a collector claims token {}", world.log.state().claim(COMPACTOR) + 1),
            Step::Raise => "the boundary is raised".into(),
            Step::Begin(c) => format!("collector {c} begins a round"),
            Step::ReadState(c) => format!("collector {c} reads the state: token {}", world.log.state().claim(COMPACTOR)),
            Step::ListSegments(c) => format!("collector {c} lists segments: {:?}", world.segments),
            Step::ListManifests(c) => format!("collector {c} lists manifests: {:?}", world.manifests),
            Step::RemoveSegment(c, name) => format!("collector {c} removes segment {name}"),
            Step::RemoveManifest(c, name) => format!("collector {c} removes the manifest of builder {name}"),
            Step::Finish(c) => format!("collector {c} ends its round"),
        }
    }
}
