//! What Raft says, as messages. What does not decode is an error, never a guess.

use std::io;

use openraft::StoredMembership;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
};
use roadstead_proto::rpc::peer;
use roadstead_proto::rpc::peer::append_response::Result as Appended;

use crate::consensus::{
    Applied, Entry, TypeConfig, Vote, applied_message, applied_of, decode_log_id, encode_log_id,
    entry_message, entry_of, vote_message, vote_of,
};
use crate::consensus::{LogId, SnapshotMeta};
use roadstead_proto::rpc::raft;

fn missing(what: &str) -> io::Error {
    let message = format!("a message of another node has no {what}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn some_vote(message: Option<raft::Vote>) -> io::Result<Vote> {
    message.as_ref().map(vote_of).ok_or_else(|| missing("vote"))
}

fn log_id(message: Option<raft::LogId>) -> Option<LogId> {
    message.as_ref().map(decode_log_id)
}

pub(super) fn append(request: &AppendEntriesRequest<TypeConfig>) -> peer::AppendRequest {
    peer::AppendRequest {
        vote: Some(vote_message(&request.vote)),
        previous: request.prev_log_id.as_ref().map(encode_log_id),
        entries: request.entries.iter().map(entry_message).collect(),
        committed: request.leader_commit.as_ref().map(encode_log_id),
    }
}

pub(super) fn append_of(
    message: peer::AppendRequest,
) -> io::Result<AppendEntriesRequest<TypeConfig>> {
    Ok(AppendEntriesRequest {
        vote: some_vote(message.vote)?,
        prev_log_id: log_id(message.previous),
        entries: message
            .entries
            .into_iter()
            .map(known_entry)
            .collect::<io::Result<_>>()?,
        leader_commit: log_id(message.committed),
    })
}

/// An entry whose command this version can apply. One that it cannot has lost its action when it
/// was read, and must not be kept like that.
fn known_entry(entry: raft::Entry) -> io::Result<Entry> {
    if let Some(raft::entry::Payload::Command(command)) = &entry.payload
        && command.action.is_none()
    {
        return Err(missing("action that this version knows"));
    }
    entry_of(entry)
}

pub(super) fn appended(result: StreamAppendResult<TypeConfig>) -> peer::AppendResponse {
    let result = match result {
        Ok(matched) => Appended::Matched(peer::Matched {
            log_id: matched.as_ref().map(encode_log_id),
        }),
        Err(StreamAppendError::Conflict(at)) => Appended::Conflict(encode_log_id(&at)),
        Err(StreamAppendError::HigherVote(vote)) => Appended::HigherVote(vote_message(&vote)),
    };
    peer::AppendResponse {
        result: Some(result),
    }
}

pub(super) fn appended_of(
    message: peer::AppendResponse,
) -> io::Result<StreamAppendResult<TypeConfig>> {
    Ok(match message.result.ok_or_else(|| missing("result"))? {
        Appended::Matched(matched) => Ok(log_id(matched.log_id)),
        Appended::Conflict(at) => Err(StreamAppendError::Conflict(decode_log_id(&at))),
        Appended::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_of(&vote))),
    })
}

pub(super) fn vote(request: &VoteRequest<TypeConfig>, is_trial: bool) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(vote_message(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(encode_log_id),
        is_transfer: request.leadership_transfer,
        is_trial,
    }
}

pub(super) fn vote_request_of(message: peer::VoteRequest) -> io::Result<VoteRequest<TypeConfig>> {
    let mut request = VoteRequest::new(some_vote(message.vote)?, log_id(message.last_log_id));
    request.leadership_transfer = message.is_transfer;
    Ok(request)
}

pub(super) fn voted(response: &VoteResponse<TypeConfig>) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(vote_message(&response.vote)),
        last_log_id: response.last_log_id.as_ref().map(encode_log_id),
        is_granted: response.vote_granted,
    }
}

pub(super) fn voted_of(message: peer::VoteResponse) -> io::Result<VoteResponse<TypeConfig>> {
    let vote = some_vote(message.vote)?;
    Ok(VoteResponse::new(
        vote,
        log_id(message.last_log_id),
        message.is_granted,
    ))
}

pub(super) fn head(vote: &Vote, meta: &SnapshotMeta) -> peer::SnapshotHead {
    let applied: Applied = (meta.last_log_id, meta.last_membership.clone());
    peer::SnapshotHead {
        vote: Some(vote_message(vote)),
        applied: Some(applied_message(&applied)),
    }
}

pub(super) fn head_of(message: peer::SnapshotHead) -> io::Result<(Vote, Applied)> {
    let applied = message.applied.ok_or_else(|| missing("position"))?;
    let applied: (_, StoredMembership<_, _, _>) = applied_of(applied)?;
    Ok((some_vote(message.vote)?, applied))
}

pub(super) fn installed_of(message: peer::InstallSnapshotResponse) -> io::Result<Vote> {
    some_vote(message.vote)
}

#[cfg(test)]
mod tests {
    use roadstead_proto::rpc::metadata::Command;

    use super::*;

    #[test]
    fn command_of_a_newer_version_is_not_kept_without_its_action() {
        let entry = raft::Entry {
            log_id: Some(raft::LogId { term: 1, index: 2 }),
            payload: Some(raft::entry::Payload::Command(Command::default())),
        };
        let message = peer::AppendRequest {
            vote: Some(raft::Vote::default()),
            entries: vec![entry],
            ..peer::AppendRequest::default()
        };
        assert!(append_of(message).is_err());
    }
}
