//! end-5, end-13 and end-14: uploads in chunks, their status, and giving them up.

use roadstead_tests::{Upload, fixture, shared};

#[track_caller]
fn check_offset(upload: &mut Upload, expected: usize) {
    let answer = upload.status().expect(204);
    let end = expected.saturating_sub(1);
    assert_eq!(answer.header("range"), format!("0-{end}"), "{answer}");
    let id = answer.header("docker-upload-uuid");
    assert!(answer.header("location").contains(id), "{answer}");
    assert!(answer.body.is_empty());
}

#[test]
fn chunks_in_order_make_a_blob() {
    let (repository, _registry) = shared::repository("chunked/in-order");
    let content = fixture::random(1, 100_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    check_offset(&mut upload, 0);
    for (number, piece) in content.chunks(30_000).enumerate() {
        let start = number * 30_000;
        let answer = upload.chunk(start, piece).expect(202);
        let end = start + piece.len() - 1;
        assert_eq!(answer.header("range"), format!("0-{end}"));
        assert!(answer.has("docker-upload-uuid"), "{answer}");
        check_offset(&mut upload, end + 1);
    }
    upload.put(digest.as_str(), b"").expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
}

#[test]
fn last_chunk_may_come_with_the_closing_put() {
    let (repository, _registry) = shared::repository("chunked/last");
    let content = fixture::random(2, 90_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    upload.chunk(0, &content[..50_000]).expect(202);
    upload
        .put_chunk(digest.as_str(), 50_000, &content[50_000..])
        .expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
}

#[test]
fn bytes_without_a_range_follow_what_is_there() {
    let (repository, _registry) = shared::repository("chunked/no-range");
    let content = fixture::random(3, 60_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    upload.patch(&content[..10_000]).expect(202);
    upload.chunk(10_000, &content[10_000..20_000]).expect(202);
    upload.patch(&content[20_000..40_000]).expect(202);
    check_offset(&mut upload, 40_000);
    upload.put(digest.as_str(), &content[40_000..]).expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
}

#[test]
fn chunk_of_nothing_changes_nothing() {
    let (repository, _registry) = shared::repository("chunked/nothing");
    let mut upload = repository.start_upload();
    upload.patch(b"").expect(202);
    check_offset(&mut upload, 0);
    upload.patch(b"some bytes").expect(202);
    upload.patch(b"").expect(202);
    check_offset(&mut upload, 10);
    let digest = fixture::digest(b"some bytes");
    upload.put(digest.as_str(), b"").expect(201);
}

#[test]
fn chunks_of_one_byte_are_counted() {
    let (repository, _registry) = shared::repository("chunked/bytes");
    let mut upload = repository.start_upload();
    for (start, byte) in b"abc".iter().enumerate() {
        upload.chunk(start, &[*byte]).expect(202);
        check_offset(&mut upload, start + 1);
    }
    let digest = fixture::digest(b"abc");
    upload.put(digest.as_str(), b"").expect(201);
}

/// Chunks that end inside a hash block, or on its edge, must not disturb the digest.
#[test]
fn any_split_gives_the_same_blob() {
    let (repository, _registry) = shared::repository("chunked/splits");
    let content = fixture::random(4, 300);
    for split in [1, 63, 64, 65, 127, 128, 129, 299] {
        for digest in [fixture::digest(&content), fixture::sha512(&content)] {
            let mut upload = repository.start_upload();
            upload.chunk(0, &content[..split]).expect(202);
            upload.chunk(split, &content[split..]).expect(202);
            upload.put(digest.as_str(), b"").expect(201);
        }
    }
}

#[test]
fn upload_that_is_given_up_is_unknown() {
    let (repository, _registry) = shared::repository("chunked/cancel");
    let content = fixture::random(5, 1000);
    let digest = fixture::digest(&content);
    for sent in [0, 1000] {
        let mut upload = repository.start_upload();
        upload.patch(&content[..sent]).expect(202);
        upload.cancel().expect(204);
        upload.status().refused(404, "BLOB_UPLOAD_UNKNOWN");
        upload.patch(&content).refused(404, "BLOB_UPLOAD_UNKNOWN");
        let answer = upload.put(digest.as_str(), &content);
        answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
        upload.cancel().refused(404, "BLOB_UPLOAD_UNKNOWN");
        repository.get_blob(&digest).expect(404);
    }
}

/// An upload knows its place: `Location` of an earlier answer serves as well.
#[test]
fn earlier_location_goes_on_serving() {
    let (repository, _registry) = shared::repository("chunked/earlier");
    let mut upload = repository.start_upload();
    let mut earlier = upload.clone();
    upload.patch(b"one").expect(202);
    check_offset(&mut earlier, 3);
    earlier.chunk(3, b"two").expect(202);
    let digest = fixture::digest(b"onetwo");
    upload.put(digest.as_str(), b"").expect(201);
}

#[test]
fn many_chunks_make_a_blob() {
    let (repository, _registry) = shared::repository("chunked/many");
    let content = fixture::random(6, 100 * 700);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    for (number, piece) in content.chunks(700).enumerate() {
        upload.chunk(number * 700, piece).expect(202);
    }
    upload.put(digest.as_str(), b"").expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
}
