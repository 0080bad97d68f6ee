//! `Verify`: compares the object store with the metadata, and tells what it finds.

use roadstead_proto::rpc::admin::verify_event::Event as Told;
use roadstead_proto::rpc::admin::{
    Finding, VerifyEvent, VerifyProgress, VerifyReport, VerifyRequest, finding,
};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::Tools;
use super::events::{Events, Teller, events};
use crate::limits::{EVENTS_WAITING, VERIFY_BYTES_PER_SECOND};
use crate::verify::{self, Event, Kind, Report, Verifier, VerifyError, Wanted};

pub(super) fn verify(
    tools: &Tools,
    stopped: &watch::Receiver<bool>,
    request: &VerifyRequest,
) -> Events<VerifyEvent> {
    let bytes_per_second = match request.bytes_per_second {
        0 => VERIFY_BYTES_PER_SECOND,
        asked => asked,
    };
    let wanted = Wanted {
        hash: request.hash,
        bytes_per_second,
    };
    let verifier = tools.verifier.clone();
    events(stopped, move |teller| run(verifier, wanted, teller))
}

/// Runs until the end, or until nobody listens.
async fn run(verifier: Verifier, wanted: Wanted, teller: Teller<VerifyEvent>) {
    let (sender, mut found) = mpsc::channel(EVENTS_WAITING);
    let working = async {
        let ended = verifier.run(wanted, &sender).await;
        drop(sender);
        ended
    };
    let telling = async {
        while let Some(event) = found.recv().await {
            if teller.send(Ok(told(event))).await.is_err() {
                // Closes the channel, by which the work ends.
                found.close();
            }
        }
    };
    let ended = tokio::select! {
        (ended, ()) = async { tokio::join!(working, telling) } => ended,
        // Reading on would cost the store something and tell nobody.
        () = teller.closed() => return,
    };
    if let Err(error) = ended {
        // Nobody has to listen.
        let _ = teller.send(Err(status(error))).await;
    }
}

fn status(error: VerifyError) -> Status {
    match error {
        VerifyError::Abandoned => Status::cancelled(error.to_string()),
        VerifyError::Alarm(_) => Status::failed_precondition(error.to_string()),
        VerifyError::Metadata(error) => super::status::of_metadata(error),
        VerifyError::Store(_) => Status::unavailable(error.to_string()),
    }
}

fn told(event: Event) -> VerifyEvent {
    let event = match event {
        Event::Progress(phase, report) => Told::Progress(VerifyProgress {
            phase: phase.to_owned(),
            blobs: report.blobs,
            bytes: report.bytes,
            objects: report.objects,
        }),
        Event::Finding(finding) => Told::Finding(finding_of(finding)),
        Event::Report(report) => Told::Report(report_of(&report)),
    };
    VerifyEvent { event: Some(event) }
}

fn finding_of(finding: verify::Finding) -> Finding {
    let kind = match finding.kind {
        Kind::Missing => finding::Kind::Missing,
        Kind::WrongSize => finding::Kind::WrongSize,
        Kind::WrongHash => finding::Kind::WrongHash,
        Kind::Unreadable => finding::Kind::Unreadable,
        Kind::Marked => finding::Kind::Marked,
        Kind::Orphan => finding::Kind::Orphan,
    };
    Finding {
        kind: kind.into(),
        digest: finding.digest,
        object_key: finding.object_key,
        detail: finding.detail,
        repositories: finding.repositories,
    }
}

fn report_of(report: &Report) -> VerifyReport {
    VerifyReport {
        blobs: report.blobs,
        bytes: report.bytes,
        objects: report.objects,
        missing: report.missing,
        wrong_size: report.wrong_size,
        wrong_hash: report.wrong_hash,
        unreadable: report.unreadable,
        orphans: report.orphans,
        damaged: report.damaged,
        marked: report.marked,
    }
}
