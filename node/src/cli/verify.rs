//! `roadstead verify`: whether the object store holds what the metadata say.

use clap::Args;
use roadstead_proto::rpc::admin::verify_event::Event;
use roadstead_proto::rpc::admin::{Finding, VerifyReport, VerifyRequest, finding};
use serde_json::{Value, json};

use super::figures::{count, size};
use super::progress;
use super::remote::{Failure, Node, Options, Output, print, print_event};
use super::table::Table;

/// What help says about the end of the command.
const EXIT_CODES: &str = "\
Exit codes: 0 everything is right; 1 it failed; 2 the command line is wrong; 6 the node cannot be
reached; 7 it refuses; 8 something is wrong in the store, and was named.";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Read every object and compare its digest, not only that it is there in its size.
    #[arg(long)]
    hash: bool,
    /// Bytes per second that are read for that; 0 leaves it to the node.
    #[arg(long, default_value_t = 0)]
    bytes_per_second: u64,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = arguments.options.output;
    let mut node = Node::connect(&arguments.options).await?;
    let request = VerifyRequest {
        hash: arguments.hash,
        bytes_per_second: arguments.bytes_per_second,
    };
    let answer = node.client.verify(request).await;
    let mut events = answer.map_err(|error| node.failed(&error))?.into_inner();
    let spinner = progress::spinner(output);
    let mut report = None;
    let ended = loop {
        match events.message().await {
            Ok(Some(event)) => match event.event {
                Some(Event::Progress(at)) => {
                    let seen = format!("{}, {}", count(at.blobs, "blob"), size(at.bytes));
                    let objects = count(at.objects, "object");
                    spinner.set_message(format!("{}: {seen}, {objects}", at.phase));
                }
                Some(Event::Finding(finding)) => {
                    spinner.suspend(|| tell(output, &finding))?;
                }
                Some(Event::Report(found)) => report = Some(found),
                None => {}
            },
            Ok(None) => break Ok(()),
            Err(error) => break Err(node.failed(&error)),
        }
    };
    spinner.finish_and_clear();
    ended?;
    let early = || Failure::here("the node ended the comparison early; try again");
    let report = report.ok_or_else(early)?;
    match output {
        Output::Json => print_event(&report_json(&report))?,
        Output::Table => print(&report_table(&report, arguments.hash))?,
    }
    if is_clean(&report) {
        Ok(())
    } else {
        Err(Failure::found())
    }
}

fn is_clean(report: &VerifyReport) -> bool {
    let damage = report.missing + report.wrong_size + report.wrong_hash + report.damaged;
    damage + report.unreadable + report.orphans == 0
}

fn word(kind: finding::Kind) -> &'static str {
    match kind {
        finding::Kind::Unspecified => "unknown",
        finding::Kind::Missing => "missing",
        finding::Kind::WrongSize => "wrong_size",
        finding::Kind::WrongHash => "wrong_hash",
        finding::Kind::Unreadable => "unreadable",
        finding::Kind::Orphan => "orphan",
        finding::Kind::Marked => "marked",
    }
}

fn tell(output: Output, finding: &Finding) -> Result<(), Failure> {
    match output {
        Output::Json => print_event(&json!({
            "finding": word(finding.kind()),
            "digest": (!finding.digest.is_empty()).then_some(&finding.digest),
            "object_key": finding.object_key,
            "detail": finding.detail,
            "repositories": finding.repositories,
        })),
        Output::Table => print(&finding_words(finding)),
    }
}

fn finding_words(finding: &Finding) -> String {
    let what = word(finding.kind()).replace('_', " ");
    if finding.digest.is_empty() {
        return format!("{what}: {} ({})", finding.object_key, finding.detail);
    }
    let repositories = finding.repositories.join(", ");
    format!(
        "{what}: {} in {repositories} ({}; object {})",
        finding.digest, finding.detail, finding.object_key
    )
}

fn report_json(report: &VerifyReport) -> Value {
    json!({ "report": {
        "blobs": report.blobs,
        "bytes": report.bytes,
        "objects": report.objects,
        "missing": report.missing,
        "wrong_size": report.wrong_size,
        "wrong_hash": report.wrong_hash,
        "unreadable": report.unreadable,
        "orphans": report.orphans,
        "marked": report.marked,
        "damaged": report.damaged,
        "is_clean": is_clean(report),
    }})
}

fn report_table(report: &VerifyReport, is_hashed: bool) -> String {
    let mut table = Table::of_facts();
    let how = if is_hashed {
        "read and hashed"
    } else {
        "there in their size"
    };
    table.fact(
        "blobs",
        format!("{} ({}), {how}", report.blobs, size(report.bytes)),
    );
    table.fact("objects", format!("{} in the store", report.objects));
    for (name, found) in [
        ("missing", report.missing),
        ("wrong size", report.wrong_size),
        ("wrong hash", report.wrong_hash),
        ("unreadable", report.unreadable),
        ("marked before", report.damaged),
        ("orphans", report.orphans),
    ] {
        table.fact(name, found.to_string());
    }
    if report.marked > 0 {
        let marked = count(report.marked, "blob");
        table.fact(
            "marked",
            format!("{marked} as damaged; the next push heals"),
        );
    }
    if report.orphans > 0 {
        table.fact("next", "`roadstead gc run --sweep` deletes orphans");
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_where_and_who_has_it() {
        let finding = Finding {
            kind: finding::Kind::WrongHash.into(),
            digest: "sha256:ab".to_owned(),
            object_key: "roadstead/v1/objects/cd/cd".to_owned(),
            detail: "hashes to sha256:ef".to_owned(),
            repositories: vec!["a".to_owned(), "b/c".to_owned()],
        };
        assert_eq!(
            finding_words(&finding),
            "wrong hash: sha256:ab in a, b/c (hashes to sha256:ef; object \
             roadstead/v1/objects/cd/cd)"
        );
        let orphan = Finding {
            kind: finding::Kind::Orphan.into(),
            digest: String::new(),
            detail: "7 bytes".to_owned(),
            ..finding
        };
        assert_eq!(
            finding_words(&orphan),
            "orphan: roadstead/v1/objects/cd/cd (7 bytes)"
        );
    }

    #[test]
    fn only_a_store_without_findings_is_clean() {
        let clean = VerifyReport {
            blobs: 5,
            ..VerifyReport::default()
        };
        assert!(is_clean(&clean));
        for spoil in [
            |report: &mut VerifyReport| report.missing = 1,
            |report: &mut VerifyReport| report.wrong_size = 1,
            |report: &mut VerifyReport| report.wrong_hash = 1,
            |report: &mut VerifyReport| report.unreadable = 1,
            |report: &mut VerifyReport| report.damaged = 1,
            |report: &mut VerifyReport| report.orphans = 1,
        ] {
            let mut report = clean;
            spoil(&mut report);
            assert!(!is_clean(&report), "{report:?}");
        }
    }
}
