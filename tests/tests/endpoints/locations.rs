//! Where answers lead to: prefix, host, relative addresses, and what proxies say of themselves.

use roadstead_tests::{Client, Registry, Setup, fixture, shared};

/// The `Location` of a new upload of repository `a` for a request with these headers.
#[track_caller]
fn location(client: &Client, headers: &[(&str, &str)]) -> String {
    let request = client.request("POST", "/v2/a/blobs/uploads/");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    request.send().expect(202).header("location").to_owned()
}

#[track_caller]
fn check_begins(location: &str, beginning: &str, case: &str) {
    let expected = format!("{beginning}/v2/a/blobs/uploads/");
    assert!(
        location.starts_with(&expected),
        "{location}, not {expected}: {case}"
    );
}

#[test]
fn location_is_where_the_client_came_to() {
    let registry = shared::registry();
    let client = registry.client();
    let own = format!("http://{}", registry.address());
    check_begins(&location(&client, &[]), &own, "no header");
    let named = [("host", "registry.example.org:8080")];
    check_begins(
        &location(&client, &named),
        "http://registry.example.org:8080",
        "Host",
    );
}

#[test]
fn location_is_where_a_proxy_says_that_the_client_came_to() {
    let registry = shared::registry();
    let client = registry.client();
    let own = registry.address();
    for (headers, expected) in [
        (
            vec![("x-forwarded-proto", "https")],
            format!("https://{own}"),
        ),
        (
            vec![("x-forwarded-host", "public.example.org")],
            "http://public.example.org".to_owned(),
        ),
        (
            vec![
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "public.example.org:8443"),
            ],
            "https://public.example.org:8443".to_owned(),
        ),
        // Of several proxies the first is the one that the client knows.
        (
            vec![
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "first.example.org, second.example.org"),
            ],
            "https://first.example.org".to_owned(),
        ),
        (
            vec![(
                "forwarded",
                "for=192.0.2.1;host=public.example.org;proto=https",
            )],
            "https://public.example.org".to_owned(),
        ),
        (
            vec![(
                "forwarded",
                "host=\"public.example.org:8443\"; Proto=https, host=b",
            )],
            "https://public.example.org:8443".to_owned(),
        ),
        (
            vec![
                ("forwarded", "host=standard.example.org;proto=https"),
                ("x-forwarded-host", "other.example.org"),
            ],
            "https://standard.example.org".to_owned(),
        ),
    ] {
        let case = format!("{headers:?}");
        check_begins(&location(&client, &headers), &expected, &case);
    }
}

/// What comes from a client must not become a header of the answer unseen.
#[test]
fn forwarded_nonsense_is_ignored() {
    let registry = shared::registry();
    let client = registry.client();
    for header in [
        ("forwarded", ";;;=,host"),
        ("forwarded", "host=\"unclosed"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-host", "not a host/../"),
        ("x-forwarded-host", ""),
    ] {
        let location = location(&client, &[header]);
        assert!(
            location.contains("/v2/a/blobs/uploads/"),
            "{location} for {header:?}"
        );
        assert!(
            !location.contains("javascript"),
            "{location} for {header:?}"
        );
        assert!(!location.contains(' '), "{location} for {header:?}");
    }
}

#[test]
fn host_of_the_operator_goes_before_all() {
    let setup = Setup::default().with("http", "host: https://registry.example.org:5443");
    let registry = Registry::start(setup);
    let client = registry.client();
    let forwarded = [("x-forwarded-host", "other.example.org")];
    for headers in [&[][..], &forwarded] {
        let case = format!("{headers:?}");
        check_begins(
            &location(&client, headers),
            "https://registry.example.org:5443",
            &case,
        );
    }
    let repository = client.repository("a");
    let index = fixture::index(&[]);
    let answer = repository.put_manifest("latest", &index).expect(201);
    let digest = index.digest();
    let expected = format!("https://registry.example.org:5443/v2/a/manifests/{digest}");
    assert_eq!(answer.header("location"), expected);
}

#[test]
fn locations_are_relative_where_the_operator_wants_it() {
    let registry = Registry::start(Setup::default().with("http", "relativeurls: true"));
    let client = registry.client();
    let forwarded = [("x-forwarded-host", "other.example.org")];
    for headers in [&[][..], &forwarded] {
        check_begins(&location(&client, headers), "", &format!("{headers:?}"));
    }
    // And they can be followed all the way.
    let repository = client.repository("locations/relative");
    let content = fixture::random(1, 2000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    let answer = upload.chunk(0, &content[..1000]).expect(202);
    assert!(answer.header("location").starts_with('/'), "{answer}");
    let answer = upload.status().expect(204);
    assert!(answer.header("location").starts_with('/'), "{answer}");
    let answer = upload.put(digest.as_str(), &content[1000..]).expect(201);
    let expected = format!("/v2/locations/relative/blobs/{digest}");
    assert_eq!(answer.header("location"), expected);
    let image = repository.push_content(2).manifest;
    let answer = repository.put_manifest("latest", &image).expect(201);
    let expected = format!("/v2/locations/relative/manifests/{}", image.digest());
    assert_eq!(answer.header("location"), expected);
}

#[test]
fn everything_lies_below_the_prefix() {
    let registry = Registry::start(Setup::default().with("http", "prefix: /deep/down/"));
    let outside = registry.client();
    let client = outside.below("/deep/down");
    client.get("/v2/").expect(200);
    outside.get("/v2/").expect(404);
    let own = format!("http://{}/deep/down", registry.address());
    check_begins(&location(&client, &[]), &own, "prefix");
    let repository = client.repository("locations/prefix");
    let image = repository.push_image("a", 3).manifest;
    repository.put_manifest("b", &image).expect(201);
    let answer = repository.put_manifest("c", &image).expect(201);
    let request = client.request_to("GET", answer.header("location"));
    assert_eq!(request.send().expect(200).body, image.bytes());
    let next = repository
        .tags("?n=2")
        .expect(200)
        .next_page()
        .expect("there is more");
    let answer = client.request_to("GET", &next).send().expect(200);
    assert_eq!(answer.json()["tags"][0], "c");
    let answer = client.get("/v2/_catalog?n=1").expect(200);
    assert_eq!(answer.json()["repositories"][0], "locations/prefix");
}
