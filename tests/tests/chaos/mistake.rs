//! The checks find what they are for. The checker of histories finds reads that pass no barrier: by
//! itself in a history that is made for it, and in what the ordinary clients have seen. The checks
//! of the end find what is lost, what is left over and states that differ.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Chance, folder};

use super::caller::{Caller, Common, Wrong};
use super::fault::{Fault, Role, Step, Way};
use super::finish;
use super::mover::Series;
use super::owner::Owner;
use super::register::{Call, History, Verdict};
use super::run::{Crew, attempt, seed, told};
use super::stage::{Stage, Staging, UPLOAD_AGE, with_nodes};

const MISTAKE: (&str, &str) = ("ROADSTEAD_MISTAKE", "reads-without-barrier");

/// A tag is moved while a node is cut off, and read from that node. Whether the read was answered,
/// and what the checker says.
fn moved_behind_its_back(variables: &[(&str, &str)]) -> (bool, Verdict) {
    with_nodes(
        &Staging {
            variables,
            ..Staging::of(3)
        },
        |stage| {
            let common = Common::new(stage.clients());
            let series = Series::new(0);
            series
                .begin(&common)
                .expect("a cluster that is whole takes a push");
            let caller = Caller::new(&common, 0);
            let history = History::new("t".to_owned());
            let leader = stage.group.leader();
            let alone = stage.others(leader)[0];
            let call = |client, node, call| {
                let made = series.call(&caller, &history, client, node, call);
                made.expect("no answer is wrong by itself")
            };
            let answered = |what: &str, client, node, of| {
                until(what, LONG, || call(client, node, of).then_some(()));
            };
            answered("a tag is put", 0, leader, Call::Put(series.fresh()));
            answered("it is read", 1, alone, Call::Get);
            for other in stage.others(alone) {
                stage.network.cut(other, alone);
                stage.network.cut(alone, other);
            }
            answered("it is moved", 0, leader, Call::Put(series.fresh()));
            let is_read = call(1, alone, Call::Get);
            stage.network.heal();
            (is_read, history.judge())
        },
    )
}

#[test]
fn checker_finds_a_read_without_a_barrier() {
    let expected = (true, Verdict::NotLinearizable);
    assert_eq!(moved_behind_its_back(&[MISTAKE]), expected);
    let expected = (false, Verdict::Linearizable);
    assert_eq!(moved_behind_its_back(&[]), expected);
}

#[test]
fn ordinary_clients_see_what_the_checker_finds() {
    let steps = [Way::Both, Way::In].map(|way| Step {
        fault: Fault::Cut(Role::Follower, way),
        beside: None,
        lasting: Duration::from_secs(3),
        calm: Duration::ZERO,
    });
    let seed = seed();
    let staging = Staging {
        variables: &[MISTAKE],
        ..Staging::of(3)
    };
    let judged = attempt(&Crew::MOVERS, &staging, &seed, |mut scene| {
        scene.suffer(&steps);
    });
    let complaint = judged.expect_err("reads passed no barrier").0;
    assert!(complaint.starts_with("NotLinearizable"), "{complaint}");
}

/// What the checks of the end say of an owner's image after something was done behind its back.
fn found_after(
    variables: &[(&str, &str)],
    tamper: impl Fn(&Stage<'_>, &Owner<'_>) + Sync,
) -> String {
    let staging = Staging {
        variables,
        ..Staging::of(3)
    };
    with_nodes(&staging, |mut stage| {
        stage.quiet = UPLOAD_AGE * 2;
        let common = Common::new(stage.clients());
        let mut owner = Owner::new(&common, 0, Chance::new(1));
        owner
            .push_image()
            .expect("a cluster that is whole takes a push");
        tamper(&stage, &owner);
        let judged = panic::catch_unwind(AssertUnwindSafe(|| {
            finish::check(&stage, &common, &[], &[owner])
        }));
        let judged = judged.unwrap_or_else(|panic| Err(Wrong(told(&*panic))));
        judged.map_or_else(|Wrong(complaint)| complaint, |_| String::new())
    })
}

#[test]
fn end_finds_nothing_where_nothing_is_wrong() {
    assert_eq!(found_after(&[], |_, _| ()), "");
}

#[test]
fn end_finds_a_manifest_that_is_lost() {
    let complaint = found_after(&[], |stage, owner| {
        let repository = stage.group.client(1).repository(&owner.repository);
        repository
            .delete_manifest(&owner.images[0].digest)
            .expect(202);
    });
    assert!(complaint.contains("is not as acknowledged"), "{complaint}");
}

#[test]
fn end_finds_a_blob_that_is_lost() {
    let complaint = found_after(&[], |stage, _| {
        for file in folder::files(&stage.group.blobs().join("roadstead/v1/objects")) {
            fs::remove_file(file).expect("an object can be removed");
        }
    });
    assert!(complaint.contains("missing or damaged"), "{complaint}");
}

#[test]
fn end_finds_what_is_left_over() {
    let purging = "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED";
    let complaint = found_after(&[(purging, "false")], |stage, owner| {
        let repository = stage.group.client(1).repository(&owner.repository);
        repository
            .start_upload()
            .patch(b"nobody goes on")
            .expect(202);
    });
    assert!(complaint.contains("that nothing needs"), "{complaint}");
}

#[test]
fn end_finds_states_that_differ() {
    let mistake = ("ROADSTEAD_MISTAKE", "applies-at-its-own-time");
    let complaint = found_after(&[mistake], |_, _| ());
    assert!(complaint.starts_with("states differ"), "{complaint}");
}
