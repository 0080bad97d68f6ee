//! Building answers: the state says yes or no in one shape.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Deletion, Done, Refusal, Response};

/// The command did what it says.
pub(super) fn done() -> Response {
    answer(Outcome::Done(Done {}))
}

/// A deletion ended, or needs another step.
pub(super) fn deletion(is_finished: bool) -> Response {
    answer(Outcome::Deletion(Deletion { is_finished }))
}

/// The state says no.
pub(super) fn refuse(reason: Reason) -> Response {
    refuse_naming(reason, Vec::new())
}

/// The state says no, because of these.
pub(super) fn refuse_naming(reason: Reason, digests: Vec<String>) -> Response {
    answer(Outcome::Refusal(Refusal {
        reason: reason.into(),
        digests,
    }))
}

/// Any other outcome.
pub(super) fn answer(outcome: Outcome) -> Response {
    Response {
        outcome: Some(outcome),
    }
}
