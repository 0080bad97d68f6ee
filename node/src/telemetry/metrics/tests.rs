//! What a scrape shows: the names as a snapshot, and the values of what was counted.

use expect_test::expect;

use super::*;

const COMPLETED: Completed = Completed {
    method: Method::Get,
    status: 200,
    request_bytes: 0,
    response_bytes: 2_000,
};

/// Metrics in which everything has happened once.
fn lively() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new());
    metrics
        .request_started(Handler::Manifest)
        .complete(COMPLETED);
    metrics.upload_bytes_received(4096);
    metrics.mailbox_full("UploadSession");
    metrics.show_dropped("access", Dropped::default());
    metrics.show_raft(|| {
        Some(RaftState {
            is_leader: true,
            term: 3,
            last_log_index: 12,
            last_applied_index: 11,
            snapshot_index: 10,
            certificate_expires: Some(4_000_000_000),
        })
    });
    let failed = Outcome::Failed("unavailable");
    metrics.observe(
        "filesystem",
        Action::Size,
        Duration::from_millis(30),
        failed,
    );
    metrics
}

/// The lines that begin with `name`, sorted.
fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.encode();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(name))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn names_and_labels_are_the_promised_ones() {
    let text = lively().encode();
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let sample = text.lines().find(|line| line.starts_with(name)).unwrap();
            let labels = sample
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            let mut labels: Vec<_> = labels
                .iter()
                .flat_map(|(labels, _)| labels.split(','))
                .filter_map(|label| label.split_once('=').map(|(name, _)| name))
                .collect();
            labels.sort_unstable();
            format!("{kind} {name}{{{}}}", labels.join(","))
        })
        .collect();
    names.sort();
    expect![[r#"
        counter process_cpu_seconds{}
        counter registry_http_requests{code,handler,method}
        counter roadstead_log_lines_dropped{log}
        counter roadstead_mailbox_full{actor}
        counter roadstead_store_errors{driver,kind}
        counter roadstead_upload_received_bytes{}
        gauge process_max_fds{}
        gauge process_open_fds{}
        gauge process_resident_memory_bytes{}
        gauge process_start_time_seconds{}
        gauge registry_http_in_flight_requests{handler}
        gauge roadstead_cluster_certificate_expiry_seconds{}
        gauge roadstead_raft_is_leader{}
        gauge roadstead_raft_last_applied_index{}
        gauge roadstead_raft_last_log_index{}
        gauge roadstead_raft_snapshot_index{}
        gauge roadstead_raft_term{}
        gauge roadstead_uploads_open{}
        histogram registry_http_request_duration_seconds{handler,method}
        histogram registry_http_request_size_bytes{handler}
        histogram registry_http_response_size_bytes{handler}
        histogram registry_storage_action_seconds{action,driver}
        info roadstead_build{version}"#]]
    .assert_eq(&names.join("\n"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn requests_are_counted_and_measured() {
    let metrics = Arc::new(Metrics::new());
    let open = metrics.request_started(Handler::BlobUploadChunk);
    let in_flight = "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"}";
    assert_eq!(lines(&metrics, in_flight), [format!("{in_flight} 1")]);
    open.complete(Completed {
        method: Method::of("PATCH"),
        status: 202,
        request_bytes: 3_000,
        ..COMPLETED
    });
    // A request whose client went away is in flight no more, and not counted.
    drop(metrics.request_started(Handler::BlobUploadChunk));
    assert_eq!(lines(&metrics, in_flight), [format!("{in_flight} 0")]);
    let requests = lines(&metrics, "registry_http_requests_total");
    assert_eq!(requests.len(), 1);
    for label in [
        "handler=\"blob_upload_chunk\"",
        "method=\"patch\"",
        "code=\"202\"",
    ] {
        assert!(requests[0].contains(label), "{requests:?}");
    }
    assert!(requests[0].ends_with(" 1"), "{requests:?}");
    let sizes = lines(&metrics, "registry_http_request_size_bytes_sum");
    assert_eq!(
        sizes,
        ["registry_http_request_size_bytes_sum{handler=\"blob_upload_chunk\"} 3000.0"]
    );
    let counted = lines(&metrics, "registry_http_request_duration_seconds_count");
    assert!(counted[0].ends_with(" 1"), "{counted:?}");
}

#[test]
fn methods_that_a_client_makes_up_are_one() {
    let table = [
        ("GET", "get"),
        ("DELETE", "delete"),
        ("get", "other"),
        ("BREW", "other"),
        ("", "other"),
    ];
    for (name, expected) in table {
        assert_eq!(Method::of(name).as_str(), expected, "{name}");
    }
}

#[test]
fn only_failures_of_the_store_are_errors() {
    let metrics = Metrics::new();
    let outcomes = [
        Outcome::Succeeded,
        Outcome::Abandoned,
        Outcome::Failed("no_space"),
        Outcome::Failed("no_space"),
    ];
    for outcome in outcomes {
        metrics.observe(
            "inmemory",
            Action::Write,
            Duration::from_millis(30),
            outcome,
        );
    }
    let errors = lines(&metrics, "roadstead_store_errors_total");
    assert_eq!(
        errors,
        ["roadstead_store_errors_total{driver=\"inmemory\",kind=\"no_space\"} 2"]
    );
    let counted = lines(&metrics, "registry_storage_action_seconds_count");
    let expected = "registry_storage_action_seconds_count{driver=\"inmemory\",action=\"write\"} 4";
    assert_eq!(counted, [expected]);
    let below = lines(
        &metrics,
        "registry_storage_action_seconds_bucket{le=\"0.05\"",
    );
    assert!(below[0].ends_with(" 4"), "{below:?}");
}

#[test]
fn open_uploads_are_counted_until_they_are_dropped() {
    let metrics = Metrics::new();
    let (first, second) = (metrics.upload_opened(), metrics.upload_opened());
    assert_eq!(
        lines(&metrics, "roadstead_uploads_open"),
        ["roadstead_uploads_open 2"]
    );
    drop((first, second));
    assert_eq!(
        lines(&metrics, "roadstead_uploads_open"),
        ["roadstead_uploads_open 0"]
    );
}

#[test]
fn the_cluster_is_asked_at_each_scrape() {
    let metrics = Metrics::new();
    assert!(lines(&metrics, "roadstead_raft").is_empty());
    let term = Arc::new(Mutex::new(None));
    let source = Arc::clone(&term);
    metrics.show_raft(move || {
        let term = *source.lock().unwrap();
        term.map(|term| RaftState {
            term,
            ..RaftState::default()
        })
    });
    assert!(lines(&metrics, "roadstead_raft").is_empty());
    for number in [1, 2] {
        *term.lock().unwrap() = Some(number);
        let expected = format!("roadstead_raft_term {number}");
        assert_eq!(lines(&metrics, "roadstead_raft_term"), [expected]);
    }
    assert_eq!(
        lines(&metrics, "roadstead_raft_is_leader"),
        ["roadstead_raft_is_leader 0"]
    );
}
