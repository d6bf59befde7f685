//! The packer, checked against a list of the operations that were pushed.

use std::collections::{BTreeSet, HashMap, HashSet};

use customerio::packer::{PackedRequest, Packer, Position, Priority};
use customerio::{Attributes, Cause, Lane, Operation, Outcome};
use proptest::prelude::*;

use crate::support::{identify, person};

/// What a caller does.
#[derive(Clone, Debug)]
enum Step {
    Push {
        lane: u8,
        kind: What,
        values: usize,
        priority: Priority,
    },
    /// Removes an operation that was pushed, if it is queued still.
    Remove {
        which: usize,
    },
    Next,
    Settle {
        which: usize,
        unknown: bool,
    },
    /// Settles the operations whose bit is set, the first of them as unknown or not.
    SettlePart {
        which: usize,
        bits: u64,
        unknown: bool,
    },
    Split {
        which: usize,
    },
}

/// What is pushed.
#[derive(Clone, Copy, Debug)]
enum What {
    Shared,
    Alone,
    /// A merge with the person of this lane.
    Merge(u8),
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        8 => Just(What::Shared),
        1 => Just(What::Alone),
        1 => (0..12_u8).prop_map(What::Merge),
    ]
}

fn push() -> impl Strategy<Value = Step> {
    let values = prop_oneof![9 => Just(0), 1 => Just(30_usize)];
    let priority = prop_oneof![
        2 => Just(Priority::Normal),
        1 => Just(Priority::Low),
        1 => Just(Priority::High),
    ];
    (0..12_u8, what(), values, priority).prop_map(|(lane, kind, values, priority)| Step::Push {
        lane,
        kind,
        values,
        priority,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => push(),
        2 => any::<usize>().prop_map(|which| Step::Remove { which }),
        2 => Just(Step::Next),
        2 => (any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(which, unknown)| Step::Settle { which, unknown }),
        2 => (any::<usize>(), any::<u64>(), prop::bool::weighted(0.1))
            .prop_map(|(which, bits, unknown)| Step::SettlePart { which, bits, unknown }),
        1 => any::<usize>().prop_map(|which| Step::Split { which }),
    ]
}

struct Pushed {
    /// The lane of the operation, and that of the second person of a merge.
    lanes: Vec<Lane>,
    size: usize,
    position: Position,
}

/// Drives a packer, and checks its invariants after each step.
struct Model {
    packer: Packer<usize>,
    max_items: usize,
    /// Whether the packer has no bounds, and its lanes go on after an unknown outcome.
    goes_on: bool,
    /// The pushed operations; the tag is the index.
    pushed: Vec<Pushed>,
    /// The tags that are queued.
    queued: BTreeSet<usize>,
    /// The priority of each lane that was not idle at the last push.
    priorities: HashMap<Lane, Priority>,
    in_flight: Vec<PackedRequest<usize>>,
    /// The last tag that was sent, by lane.
    left: HashMap<Lane, usize>,
    settled: HashSet<usize>,
    stopped: HashSet<Lane>,
}

impl Model {
    fn new(max_items: usize, goes_on: bool) -> Self {
        let packer = Packer::new(max_items);
        Self {
            packer: match goes_on {
                true => packer.unbounded().resume_lanes(),
                false => packer,
            },
            max_items,
            goes_on,
            pushed: Vec::new(),
            queued: BTreeSet::new(),
            priorities: HashMap::new(),
            in_flight: Vec::new(),
            left: HashMap::new(),
            settled: HashSet::new(),
            stopped: HashSet::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push {
                lane,
                kind,
                values,
                priority,
            } => self.push(operation(lane, kind, values), priority),
            Step::Remove { which } if !self.pushed.is_empty() => {
                self.remove(which % self.pushed.len());
            }
            Step::Next => {
                self.next();
            }
            Step::Settle { which, unknown } if !self.in_flight.is_empty() => {
                self.settle(which % self.in_flight.len(), unknown);
            }
            Step::SettlePart {
                which,
                bits,
                unknown,
            } if !self.in_flight.is_empty() => {
                self.settle_part(which % self.in_flight.len(), bits, unknown);
            }
            Step::Split { which } if !self.in_flight.is_empty() => {
                self.split(which % self.in_flight.len());
            }
            Step::Remove { .. }
            | Step::Settle { .. }
            | Step::SettlePart { .. }
            | Step::Split { .. } => {}
        }
        self.check_queued();
    }

    fn push(&mut self, operation: Operation, priority: Priority) {
        let lanes: Vec<_> = [Some(operation.lane()), operation.other_lane()]
            .into_iter()
            .flatten()
            .collect();
        let stopped = !self.goes_on && lanes.iter().any(|lane| self.stopped.contains(lane));
        let full = self.packer.is_full();
        let (tag, size) = (self.pushed.len(), operation.size());
        let position = match self.packer.push_at(priority, operation, tag) {
            Ok(position) => position,
            Err(rejected) if rejected.is_full() => return assert!(full),
            Err(_) => return assert!(stopped),
        };
        assert!(!full && !stopped);
        for &lane in &lanes {
            let is_idle = !self.busy().contains(&lane) && self.first(lane).is_none();
            let before = self.priorities.get(&lane).filter(|_| !is_idle);
            let highest = before.map_or(priority, |before| priority.max(*before));
            self.priorities.insert(lane, highest);
        }
        self.queued.insert(tag);
        self.pushed.push(Pushed {
            lanes,
            size,
            position,
        });
    }

    fn remove(&mut self, tag: usize) {
        let removed = self.packer.remove(self.pushed[tag].position);
        let is_queued = self.queued.remove(&tag);
        assert_eq!(
            removed.map(|(_, tag)| tag),
            is_queued.then_some(tag),
            "what is queued is removed, and nothing else"
        );
        if is_queued {
            assert!(self.settled.insert(tag), "{tag} is settled twice");
        }
    }

    /// Checks what the packer returns of the queued operations.
    fn check_queued(&mut self) {
        for (tag, pushed) in self.pushed.iter().enumerate() {
            let queued = self.queued.get(&tag);
            assert_eq!(self.packer.get(pushed.position), queued);
        }
        assert_eq!(self.packer.len(), self.queued.len());
        assert_eq!(self.packer.has_next(), !self.ready().is_empty());
        // The operation on two people counts in both lanes, and its bytes in the first.
        let busy = self.busy();
        let is_open = |lane: &&Lane| !busy.contains(*lane);
        let queued = self.queued.iter().map(|tag| &self.pushed[*tag]);
        let (mut items, mut bytes) = (0, 0);
        for pushed in queued {
            items += pushed.lanes.iter().filter(is_open).count();
            bytes += pushed
                .lanes
                .first()
                .filter(is_open)
                .map_or(0, |_| pushed.size);
        }
        assert_eq!(
            self.packer.has_full_batch(),
            items >= self.max_items || bytes >= 500_000
        );
    }

    /// Returns the lanes with operations in flight.
    fn busy(&self) -> HashSet<Lane> {
        let in_flight = self.in_flight.iter();
        in_flight.flat_map(|packed| self.lanes(packed)).collect()
    }

    /// Returns the tag that is first in a lane.
    fn first(&self, lane: Lane) -> Option<usize> {
        let mut queued = self.queued.iter().copied();
        queued.find(|tag| self.pushed[*tag].lanes.contains(&lane))
    }

    /// Returns the tags that may be sent now: each is first in its lanes, and those are open.
    fn ready(&self) -> Vec<usize> {
        let busy = self.busy();
        let is_ready = |tag: &usize| {
            let mut lanes = self.pushed[*tag].lanes.iter();
            lanes.all(|lane| !busy.contains(lane) && self.first(*lane) == Some(*tag))
        };
        self.queued.iter().copied().filter(is_ready).collect()
    }

    /// Returns the priority of an operation among those that are ready: that of its lane.
    fn priority(&self, tag: usize) -> Priority {
        self.priorities[&self.pushed[tag].lanes[0]]
    }

    fn next(&mut self) -> bool {
        let ready = self.ready();
        let Some(packed) = self.packer.next_request() else {
            assert!(ready.is_empty());
            return false;
        };
        let first = *packed.in_flight.tags().next().unwrap();
        let highest = ready.iter().map(|tag| self.priority(*tag)).max();
        assert!(ready.contains(&first));
        assert_eq!(Some(self.priority(first)), highest);
        let count = packed.request.len();
        assert!((1..=self.max_items).contains(&count) && count == packed.in_flight.tags().len());
        assert!(packed.request.body().unwrap().len() <= 500_000);
        assert!(
            self.lanes(&packed).is_disjoint(&self.busy()),
            "a lane is in flight twice"
        );
        for &tag in packed.in_flight.tags() {
            assert!(self.queued.remove(&tag), "{tag} was not queued");
            for &lane in &self.pushed[tag].lanes {
                let before = self.left.insert(lane, tag);
                assert!(before < Some(tag), "{tag} left after {before:?}");
            }
        }
        self.in_flight.push(packed);
        true
    }

    fn lanes(&self, packed: &PackedRequest<usize>) -> HashSet<Lane> {
        let tags = packed.in_flight.tags();
        tags.flat_map(|&tag| self.pushed[tag].lanes.clone())
            .collect()
    }

    fn settle(&mut self, which: usize, unknown: bool) {
        let packed = self.in_flight.remove(which);
        let mut outcomes = vec![Outcome::Accepted; packed.request.len()];
        if unknown {
            outcomes[0] = Outcome::Unknown(Cause::stopped());
        }
        let of_request: Vec<_> = packed.in_flight.tags().copied().collect();
        if unknown {
            self.stopped.extend(&self.pushed[of_request[0]].lanes);
        }
        let settled = self.packer.settle(packed.in_flight, outcomes);
        for (position, (tag, outcome)) in settled.iter().enumerate() {
            assert!(self.settled.insert(*tag), "{tag} is settled twice");
            self.queued.remove(tag);
            match of_request.get(position) {
                Some(of_request) => assert_eq!(of_request, tag),
                None => assert!(matches!(outcome, Outcome::NotSent(_)) && self.is_stopped(*tag)),
            }
        }
    }

    fn is_stopped(&self, tag: usize) -> bool {
        let mut lanes = self.pushed[tag].lanes.iter();
        lanes.any(|lane| self.stopped.contains(lane))
    }

    fn settle_part(&mut self, which: usize, bits: u64, unknown: bool) {
        let packed = self.in_flight.remove(which);
        let tags: Vec<_> = packed.in_flight.tags().copied().collect();
        let mut is_first = true;
        let places = (0..tags.len()).map(|position| {
            let is_settled = bits >> (position % 64) & 1 == 1;
            is_settled.then(|| match unknown && std::mem::take(&mut is_first) {
                true => Outcome::Unknown(Cause::stopped()),
                false => Outcome::Accepted,
            })
        });
        let places: Vec<_> = places.collect();
        let asked = places.iter().flatten().count();
        let (settled, left) = self.packer.settle_part(packed, places);
        assert!(settled.len() >= asked);
        for (tag, outcome) in &settled {
            assert!(self.settled.insert(*tag), "{tag} is settled twice");
            self.queued.remove(tag);
            if outcome.is_unknown() {
                self.stopped.extend(&self.pushed[*tag].lanes);
            }
            assert!(
                outcome.is_accepted() || self.is_stopped(*tag),
                "{outcome:?}"
            );
        }
        let Some(left) = left else { return };
        assert_eq!(left.request.len(), left.in_flight.tags().len());
        assert!(left.in_flight.tags().all(|tag| tags.contains(tag)));
        assert!(left.in_flight.tags().all(|tag| !self.settled.contains(tag)));
        self.in_flight.push(left);
    }

    fn split(&mut self, which: usize) {
        let packed = self.in_flight.remove(which);
        let tags: Vec<_> = packed.in_flight.tags().copied().collect();
        let (first, second) = packed.split();
        let halves = [Some(first), second].into_iter().flatten();
        let halves: Vec<_> = halves.collect();
        let together = halves.iter().flat_map(|half| half.in_flight.tags());
        assert_eq!(together.copied().collect::<Vec<_>>(), tags);
        match &halves[..] {
            [first, second] => assert!(self.lanes(first).is_disjoint(&self.lanes(second))),
            _ => assert!(
                tags.iter()
                    .all(|tag| self.pushed[*tag].lanes[0] == self.pushed[tags[0]].lanes[0])
            ),
        }
        for half in halves {
            assert_eq!(half.request.len(), half.in_flight.tags().len());
            self.in_flight.push(half);
        }
    }

    fn finish(&mut self) {
        while self.next() || !self.in_flight.is_empty() {
            if !self.in_flight.is_empty() {
                self.settle(0, false);
            }
        }
        assert!(self.packer.is_empty());
        assert_eq!(
            self.settled.len(),
            self.pushed.len(),
            "everything comes out once"
        );
    }
}

/// Returns an operation with a number of values of nearly a thousand bytes.
fn operation(lane: u8, kind: What, values: usize) -> Operation {
    let person = |lane: u8| person(&lane.to_string());
    let of_lane = person(lane);
    match kind {
        What::Alone => return Operation::delete(&of_lane).unwrap(),
        What::Merge(other) if other != lane => {
            return Operation::merge(&of_lane, &person(other)).unwrap();
        }
        What::Merge(_) | What::Shared => {}
    }
    let mut attributes = Attributes::new();
    for n in 0..values {
        attributes.insert(format!("a{n}"), "x".repeat(900)).unwrap();
    }
    Operation::identify(&of_lane, &attributes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn order_is_kept_and_everything_comes_out_once(
        max_items in 1..40_usize,
        goes_on: bool,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut model = Model::new(max_items, goes_on);
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}

fn packed(packer: &mut Packer<usize>) -> Vec<usize> {
    let packed = packer.next_request().expect("something is ready");
    packed.in_flight.tags().copied().collect()
}

fn filled(max_items: usize, operations: impl IntoIterator<Item = Operation>) -> Packer<usize> {
    let mut packer = Packer::new(max_items);
    for (tag, operation) in operations.into_iter().enumerate() {
        packer.push(operation, tag).unwrap();
    }
    packer
}

#[test]
fn a_busy_lane_does_not_keep_others_from_filling_a_batch() {
    let mut packer = filled(2, ["a", "b", "a", "a", "c", "d"].map(identify));
    assert_eq!(packed(&mut packer), [0, 2]);
    assert_eq!(packed(&mut packer), [1, 4]);
    assert_eq!(packed(&mut packer), [5]);
    assert!(
        packer.next_request().is_none(),
        "the rest is behind what is in flight"
    );
    assert_eq!(packer.len(), 1);
}

#[test]
fn an_operation_that_goes_alone_gets_a_request_of_its_own() {
    let deletion = Operation::delete(&person("b")).unwrap();
    let mut packer = filled(10, [identify("a"), deletion, identify("b"), identify("c")]);
    assert_eq!(packed(&mut packer), [0]);
    let alone = packer.next_request().unwrap();
    assert_eq!(alone.request.path(), "/api/v2/entity");
    assert_eq!(packed(&mut packer), [3]);
    assert!(
        packer.next_request().is_none(),
        "the deletion holds its lane"
    );
    let _ = packer.settle(alone.in_flight, vec![Outcome::Accepted]);
    assert_eq!(packed(&mut packer), [2]);
}

#[test]
fn a_merge_waits_for_both_lanes_and_closes_both() {
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    let mut packer = filled(1, [identify("b"), merge, identify("b")]);
    packer.push(identify("a"), 3).unwrap();
    let before = packer.next_request().unwrap();
    assert!(packer.next_request().is_none(), "the merge waits for `b`");
    let _ = packer.settle(before.in_flight, vec![Outcome::Accepted]);
    let merge = packer.next_request().unwrap();
    assert_eq!(merge.in_flight.tags().copied().collect::<Vec<_>>(), [1]);
    assert!(
        packer.next_request().is_none(),
        "the merge holds `a` and `b`"
    );
    let settled = packer.settle(merge.in_flight, vec![Outcome::Unknown(Cause::stopped())]);
    let tags: Vec<_> = settled.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(
        tags,
        [1, 2, 3],
        "what waits behind it in both lanes is not sent"
    );
}

#[test]
fn a_lane_with_many_operations_goes_behind_waiting_lanes() {
    let mut packer = filled(1, ["a", "a", "b"].map(identify));
    let first = packer.next_request().unwrap();
    let _ = packer.settle(first.in_flight, vec![Outcome::Accepted]);
    assert_eq!(packed(&mut packer), [2]);
}

#[test]
fn single_operations_go_through_entity() {
    let packed = filled(1, [identify("a"), identify("a")])
        .next_request()
        .unwrap();
    assert_eq!(
        (packed.request.path(), packed.request.len()),
        ("/api/v2/entity", 1)
    );
}

#[test]
fn a_lane_that_ended_unknown_is_stopped_and_others_go_on() {
    let mut packer = filled(1, ["a", "a", "b"].map(identify));
    let first = packer.next_request().unwrap();
    let settled = packer.settle(first.in_flight, vec![Outcome::Unknown(Cause::stopped())]);
    assert!(matches!(
        settled[..],
        [(0, Outcome::Unknown(_)), (1, Outcome::NotSent(_))]
    ));
    let rejected = packer.push(identify("a"), 3).unwrap_err();
    assert!(rejected.is_stopped() && rejected.into_parts().1 == 3);
    assert_eq!(packed(&mut packer), [2]);
}

#[test]
fn a_full_packer_returns_the_operation() {
    let mut packer = filled(1, ["a", "b", "c", "d"].map(identify));
    assert!(packer.is_full());
    assert!(packer.push(identify("e"), 4).unwrap_err().is_full());
    let _in_flight = packer.next_request().unwrap();
    assert!(!packer.is_full());
}

#[test]
fn the_rest_of_a_settled_part_keeps_its_lanes_closed() {
    let mut packer = filled(4, ["a", "b", "b", "c"].map(identify));
    for (tag, id) in [(4, "a"), (5, "b")] {
        packer.push(identify(id), tag).unwrap();
    }
    let whole = packer.next_request().unwrap();
    let places = vec![Some(Outcome::Accepted), Some(Outcome::Accepted), None, None];
    assert_eq!(
        whole.in_flight.tags().copied().collect::<Vec<_>>(),
        [0, 4, 1, 2]
    );
    let (settled, left) = packer.settle_part(whole, places);
    assert_eq!(
        settled.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(),
        [0, 4]
    );
    let left = left.unwrap();
    let ids = String::from_utf8(left.request.body().unwrap().to_vec()).unwrap();
    assert_eq!(ids.matches(r#""id":"b""#).count(), 2, "{ids}");
    assert_eq!(packed(&mut packer), [3], "`b` is not open yet");
    let _ = packer.settle(left.in_flight, vec![Outcome::Accepted; 2]);
    assert_eq!(packed(&mut packer), [5]);
}

/// Quadratic work would take minutes here.
#[test]
fn half_a_million_operations_pass_in_linear_time() {
    let hot = identify("hot");
    let mut packer = Packer::new(500);
    let mut out = 0;
    for tag in 0..500_000 {
        packer.push(hot.clone(), tag).unwrap();
        if packer.is_full() {
            let packed = packer.next_request().unwrap();
            let outcomes = vec![Outcome::Accepted; packed.request.len()];
            out += packer.settle(packed.in_flight, outcomes).len();
        }
    }
    assert_eq!(out + packer.len(), 500_000);
}
