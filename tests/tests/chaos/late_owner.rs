//! The node that takes an upload's bytes stands still in the middle of a chunk, others take the
//! upload over and commit it, and then it wakes up.

use roadstead_tests::client::Request;
use roadstead_tests::fixture::{self, CONFIG, LAYER};
use roadstead_tests::raw::Raw;
use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Answer, folder};
use rustix::process::Signal;

use super::stage::{Stage, Staging, with_nodes};

const CHUNK: usize = 1_000_000;

/// Asks until there is an answer, as clients do.
fn asked(what: &str, make: impl Fn() -> Request) -> Answer {
    until(what, LONG, || {
        let answer = make().try_send().ok();
        answer.filter(|answer| !matches!(answer.status, 502..=504))
    })
}

fn stored(stage: &Stage<'_>) -> u64 {
    let files = folder::files(&stage.group.blobs());
    let sizes = files.iter().filter_map(|file| file.metadata().ok());
    sizes.map(|data| data.len()).sum()
}

fn wakes_up_late(stage: &Stage<'_>, owner: usize, seed: u64) {
    let clients = stage.clients();
    let others = stage.others(owner);
    let [second, third] = [others[0], others[1]].map(|node| &clients[node]);
    let given_up = fixture::random(seed, 3 * CHUNK);
    let mut committed = given_up[..CHUNK].to_vec();
    committed.extend(fixture::random(seed + 1, CHUNK));
    let before = stored(stage);

    let mut upload = clients[owner].repository("a/b").start_upload();
    upload.patch(&given_up[..CHUNK]).expect(202);
    let mut late = Raw::connect(&stage.group.nodes[owner].address());
    late.send(format!(
        "PATCH {} HTTP/1.1\r\nHost: registry\r\nContent-Length: {}\r\n\
         Content-Range: {CHUNK}-{}\r\n\r\n",
        upload.path(),
        2 * CHUNK,
        3 * CHUNK - 1
    ));
    late.send(&given_up[CHUNK..2 * CHUNK]);
    until("the owner has written a part of the chunk", LONG, || {
        (stored(stage) > before + CHUNK as u64).then_some(())
    });
    stage.group.nodes[owner].signal(Signal::STOP);

    let taken = upload.through(second);
    let offset = asked("the upload is known to another node", || {
        taken.request("GET")
    });
    let offset = offset.expect(204);
    assert_eq!(
        offset.header("range"),
        format!("0-{}", CHUNK - 1),
        "{offset}"
    );
    let range = format!("{CHUNK}-{}", 2 * CHUNK - 1);
    asked("other bytes are taken", || {
        let request = taken.request("PATCH").header("content-range", &range);
        request.body(&committed[CHUNK..])
    })
    .expect(202);
    let digest = fixture::digest(&committed);
    let closing = upload.through(third);
    asked("it is committed", || closing.closing(digest.as_str())).expect(201);
    // Something that keeps the blob, whose hold is short here.
    let layers = [fixture::descriptor(LAYER, &committed)];
    let manifest = fixture::image(&fixture::descriptor(CONFIG, &committed), &layers);
    let path = format!("manifests/t{seed}");
    asked("a manifest names it", || {
        let request = third.repository("a/b").request("PUT", &path);
        let request = request.header("content-type", &manifest.media_type);
        request.body(manifest.bytes())
    })
    .expect(201);

    stage.group.nodes[owner].signal(Signal::CONT);
    late.send(&given_up[2 * CHUNK..]);
    if let Ok(Some(answer)) = late.try_answer() {
        assert!(answer.status >= 400, "{answer:?}");
    }
    for client in &clients {
        let repository = client.repository("a/b");
        let get = |digest: &roadstead_proto::Digest| {
            let path = format!("blobs/{digest}");
            asked("a blob is asked for", || repository.request("GET", &path))
        };
        assert!(get(&digest).expect(200).body == committed, "other bytes");
        get(&fixture::digest(&given_up)).expect(404);
    }
    until("what the owner has written is deleted", LONG, || {
        (stored(stage) == before + committed.len() as u64).then_some(())
    });
}

#[test]
fn owner_of_an_upload_wakes_up_after_others_have_committed_it() {
    with_nodes(&Staging::of(3), |stage| {
        for seed in [10, 20] {
            let follower = stage.others(stage.group.leader())[0];
            wakes_up_late(&stage, follower, seed);
            wakes_up_late(&stage, stage.group.leader(), seed + 5);
        }
    });
}
