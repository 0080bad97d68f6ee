//! What goes wrong: one node or all of them, for a while; and schedules of it.

use std::time::{Duration, Instant};

use roadstead_tests::{Chance, fixture, wait};
use rustix::process::Signal;
use serde_json::json;

use super::stage::{PADDING, Stage};

/// Of a manifest that is to take room.
const PADDING_BYTES: usize = 1 << 20;

/// How long a write takes on a disk that is slow: longer than a heartbeat, shorter than it takes to
/// elect another leader.
const SLOW: Duration = Duration::from_millis(250);

/// Who it happens to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Whoever leads when it begins.
    Leader,
    /// Any other.
    Follower,
}

/// Which way to or from a node is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Both,
    /// It hears no other node.
    In,
    /// No other node hears it.
    Out,
}

/// What happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// SIGKILL; it is started again when the time is over.
    Kill(Role),
    /// The same to every node at once.
    KillAll,
    /// SIGSTOP, and SIGCONT when the time is over.
    Pause(Role),
    /// Between it and all other nodes. Clients reach it as before. When one cut ends, all do.
    Cut(Role, Way),
    /// Between two of the nodes, one of which is this; others reach both.
    CutPair(Role, Way),
    /// No byte more fits on its disk of metadata.
    Fill(Role),
    /// Its disk of metadata takes nothing until the time is over.
    Stall(Role),
    /// The same, but for a moment in ten.
    Slow(Role),
    /// It and one more, which hear each other, from and to the rest.
    CutTwo(Role),
}

/// One fault of a schedule, how long it lasts, and how long nothing goes wrong after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) fault: Fault,
    /// What happens to another node meanwhile, for a third of the time.
    pub(super) beside: Option<Fault>,
    pub(super) lasting: Duration,
    pub(super) calm: Duration,
}

const ROLES: [Role; 2] = [Role::Leader, Role::Follower];
const WAYS: [Way; 3] = [Way::Both, Way::In, Way::Out];

fn draw(chance: &mut Chance) -> Fault {
    let role = ROLES[chance.below(ROLES.len())];
    let way = WAYS[chance.below(WAYS.len())];
    match chance.below(100) {
        0..25 => Fault::Kill(role),
        25..32 => Fault::KillAll,
        32..52 => Fault::Pause(role),
        52..75 => Fault::Cut(role, way),
        75..83 => Fault::CutPair(role, way),
        83..90 => Fault::Fill(role),
        90..95 => Fault::Stall(role),
        _ => Fault::Slow(role),
    }
}

/// Faults that take so long together.
pub(super) fn schedule(chance: &mut Chance, length: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut taken = Duration::ZERO;
    while taken < length {
        let fault = draw(chance);
        // Often over before anybody has noticed, and often long enough for an election.
        let mut lasting = Duration::from_millis(200 + chance.below(5_800) as u64);
        // Those that come with nothing beside them: their time is their own.
        let is_of_one = !matches!(fault, Fault::KillAll | Fault::Fill(_) | Fault::Slow(_));
        let beside = (is_of_one && chance.percent(30)).then(|| draw_beside(chance));
        if beside.is_some() {
            // Long enough for an election before it, and another during it.
            lasting += Duration::from_secs(6);
        }
        let calm = Duration::from_millis(chance.below(2_500) as u64);
        taken += lasting + calm;
        steps.push(Step {
            fault,
            beside,
            lasting,
            calm,
        });
    }
    steps
}

fn draw_beside(chance: &mut Chance) -> Fault {
    let way = WAYS[chance.below(WAYS.len())];
    match chance.below(3) {
        0 => Fault::Kill(Role::Follower),
        1 => Fault::Pause(Role::Follower),
        _ => Fault::Cut(Role::Follower, way),
    }
}

impl Stage<'_> {
    fn whom(&self, role: Role, chance: &mut Chance) -> usize {
        let leader = self.group.leader();
        match role {
            Role::Leader => leader,
            Role::Follower => {
                let followers = self.others(leader);
                followers[chance.below(followers.len())]
            }
        }
    }

    fn cut(&self, node: usize, others: &[usize], way: Way) {
        for other in others {
            if way != Way::Out {
                self.network.cut(*other, node);
            }
            if way != Way::In {
                self.network.cut(node, *other);
            }
        }
    }

    /// Has another node take a large manifest, which all have to write.
    fn pad(&mut self, than: usize) {
        self.padding += 1;
        let others = self.others(than);
        let client = self.group.client(others[self.padding % others.len()]);
        let padding = fixture::index(&[])
            .with(
                "annotations",
                json!({ "padding": "x".repeat(PADDING_BYTES) }),
            )
            .with("number", json!(self.padding));
        let path = format!("manifests/t{}", self.padding);
        let request = client.repository(PADDING).request("PUT", &path);
        let request = request.header("content-type", &padding.media_type);
        // Nobody relies on it.
        let _ = request.body(padding.bytes()).try_send();
    }

    /// Has it happen, last and end. `tell` is told what begins and ends.
    pub(super) fn suffer(
        &mut self,
        step: &Step,
        chance: &mut Chance,
        is_over: &dyn Fn() -> bool,
        tell: &dyn Fn(String),
    ) {
        self.suffer_beside(None, step, chance, is_over, tell);
    }

    /// The same while something else happens to one of the nodes, which is left alone.
    fn suffer_beside(
        &mut self,
        suffering: Option<usize>,
        step: &Step,
        chance: &mut Chance,
        is_over: &dyn Fn() -> bool,
        tell: &dyn Fn(String),
    ) {
        let fault = step.fault;
        let node = match (suffering, fault) {
            // Who leads now may take long to find out.
            (Some(suffering), _) => {
                let left = self.others(suffering);
                left[chance.below(left.len())]
            }
            (None, Fault::KillAll) => 0,
            (
                None,
                Fault::Kill(role)
                | Fault::Pause(role)
                | Fault::Cut(role, _)
                | Fault::CutPair(role, _)
                | Fault::Fill(role)
                | Fault::Stall(role)
                | Fault::Slow(role)
                | Fault::CutTwo(role),
            ) => self.whom(role, chance),
        };
        tell(format!("{fault:?} on node {node} for {:?}", step.lasting));
        self.faults += 1;
        match fault {
            Fault::Kill(_) => {
                self.group.nodes[node].kill();
                self.last(node, step, chance, is_over, tell);
                self.revive(node);
            }
            Fault::KillAll => {
                for node in &mut self.group.nodes {
                    node.kill();
                }
                wait::last(step.lasting, is_over);
                for node in &mut self.group.nodes {
                    node.spawn();
                }
            }
            Fault::Pause(_) => {
                self.group.nodes[node].signal(Signal::STOP);
                self.last(node, step, chance, is_over, tell);
                self.group.nodes[node].signal(Signal::CONT);
            }
            Fault::Cut(_, way) => {
                self.cut(node, &self.others(node), way);
                self.last(node, step, chance, is_over, tell);
                self.network.heal();
            }
            Fault::CutPair(_, way) => {
                let others = self.others(node);
                let other = others[chance.below(others.len())];
                self.cut(node, &[other], way);
                self.last(node, step, chance, is_over, tell);
                self.network.heal();
            }
            Fault::Fill(_) => {
                self.disks[node].fill();
                // Files that were made before take some more, and so there has to be much to write.
                let has_ended = wait::poll(step.lasting, || {
                    self.pad(node);
                    let ended = self.group.nodes[node].try_wait();
                    (ended.is_some() || is_over()).then_some(ended.is_some())
                });
                self.empty(node);
                if has_ended == Some(true) {
                    tell(format!("node {node} has ended on its full disk"));
                    self.ended_full += 1;
                    self.revive(node);
                }
            }
            Fault::Stall(_) => {
                let frozen = self.disks[node].freeze();
                self.last(node, step, chance, is_over, tell);
                frozen.thaw();
            }
            Fault::Slow(_) => {
                let began = Instant::now();
                while began.elapsed() < step.lasting && !is_over() {
                    let frozen = self.disks[node].freeze();
                    wait::last(SLOW, is_over);
                    frozen.thaw();
                    wait::last(SLOW / 10, is_over);
                }
            }
            Fault::CutTwo(_) => {
                let mut rest = self.others(node);
                let other = rest.swap_remove(chance.below(rest.len()));
                for one in [node, other] {
                    self.cut(one, &rest, Way::Both);
                }
                self.last(node, step, chance, is_over, tell);
                self.network.heal();
            }
        }
        tell(format!("{fault:?} on node {node} is over"));
    }

    /// Has what happens to a node last, with what happens beside it.
    fn last(
        &mut self,
        node: usize,
        step: &Step,
        chance: &mut Chance,
        is_over: &dyn Fn() -> bool,
        tell: &dyn Fn(String),
    ) {
        let Some(fault) = step.beside else {
            wait::last(step.lasting, is_over);
            return;
        };
        let part = step.lasting / 3;
        let inner = Step {
            fault,
            beside: None,
            lasting: part,
            calm: Duration::ZERO,
        };
        wait::last(part, is_over);
        self.suffer_beside(Some(node), &inner, chance, is_over, tell);
        wait::last(part, is_over);
    }
}

#[test]
fn schedules_depend_on_the_seed_alone() {
    let text = |seed| {
        let length = Duration::from_secs(300);
        let steps = schedule(&mut Chance::new(seed), length);
        let taken: Duration = steps.iter().map(|step| step.lasting + step.calm).sum();
        assert!(taken >= length, "{taken:?}");
        format!("{steps:?}")
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}
