//! The members of a cluster as a table, and as JSON.

use std::io::{self, IsTerminal};

use roadstead_proto::rpc::admin::{ClusterStatus, Member};
use serde_json::{Value, json};

use super::super::figures::{age, size};
use super::super::remote::{Failure, Output, print, print_either, print_event};
use super::super::table::{Table, left, right};

/// Clears a terminal and begins in its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn show(status: &ClusterStatus, output: Output) -> Result<(), Failure> {
    print_either(output, &document(status), &words(status))
}

/// Shows it in the place of what was shown before.
pub(super) fn show_again(status: &ClusterStatus, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => print_event(&document(status)),
        Output::Table if io::stdout().is_terminal() => print(&format!("{CLEAR}{}", words(status))),
        Output::Table => print(&format!("{}\n", words(status))),
    }
}

fn document(status: &ClusterStatus) -> Value {
    let members: Vec<_> = status.members.iter().map(member).collect();
    json!({
        "name": status.name,
        "cluster_id": status.cluster_id,
        "incarnation": status.incarnation,
        "feature_level": status.feature_level,
        "feature_level_max": status.feature_level_max,
        "has_quorum": status.has_quorum,
        "leader": (status.leader > 0).then_some(status.leader),
        "answered_by": status.answered_by,
        "members": members,
    })
}

fn member(member: &Member) -> Value {
    let status = member.status.as_ref();
    json!({
        "node": member.node,
        "address": member.address,
        "is_voter": member.is_voter,
        "failure": (!member.failure.is_empty()).then_some(&member.failure),
        "status": status.map(|status| json!({
            "role": status.role,
            "term": status.term,
            "last_log_index": status.last_log_index,
            "last_applied_index": status.last_applied_index,
            "snapshot_index": status.snapshot_index,
            "purged_index": status.purged_index,
            "version": status.version,
            "feature_level_max": status.feature_level_max,
            "disk_free_bytes": status.disk_free_bytes,
            "disk_bytes": status.disk_bytes,
            "uptime_ms": status.uptime_ms,
            "is_draining": status.is_draining,
        })),
    })
}

fn words(status: &ClusterStatus) -> String {
    let mut facts = Table::of_facts();
    let name = if status.name.is_empty() {
        "a node alone".to_owned()
    } else {
        status.name.clone()
    };
    facts.fact("cluster", format!("{name} ({})", status.cluster_id));
    facts.fact("quorum", quorum(status));
    let raise = if status.feature_level < status.feature_level_max {
        format!(
            "; every node can apply {}: see `cluster raise-feature-level`",
            status.feature_level_max
        )
    } else {
        String::new()
    };
    facts.fact("feature level", format!("{}{raise}", status.feature_level));
    let mut table = Table::new(&[
        right("NODE"),
        left("ADDRESS"),
        left("ROLE"),
        right("TERM"),
        right("APPLIED"),
        right("LAG"),
        right("DISK FREE"),
        left("VERSION"),
        left("UP"),
        left("STATE"),
    ]);
    let last = status.members.iter();
    let last = last.filter_map(|member| Some(member.status.as_ref()?.last_log_index));
    let last = last.max().unwrap_or_default();
    for member in &status.members {
        table.row(row(member, last));
    }
    format!("{facts}\n{table}")
}

fn quorum(status: &ClusterStatus) -> String {
    let voters = status.members.iter().filter(|member| member.is_voter);
    let count = voters.clone().count();
    let answer = voters.filter(|member| member.status.is_some()).count();
    let needed = count / 2 + 1;
    if status.has_quorum {
        let spare = answer.saturating_sub(needed);
        format!("yes: {answer} of {count} voters answer, {spare} may be lost")
    } else {
        format!(
            "no: {answer} of {count} voters answer, and {needed} are needed; what is shown is what \
             node {} knows",
            status.answered_by
        )
    }
}

fn row(member: &Member, last: u64) -> [String; 10] {
    let address = if member.address.is_empty() {
        "-".to_owned()
    } else {
        member.address.clone()
    };
    let node = member.node.to_string();
    let Some(status) = &member.status else {
        let nothing = || "-".to_owned();
        let role = if member.is_voter { "voter" } else { "learner" };
        return [
            node,
            address,
            role.to_owned(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            format!("does not answer: {}", member.failure),
        ];
    };
    let state = match (status.is_draining, member.is_voter) {
        (true, _) => "draining",
        (false, false) => "catching up",
        (false, true) => "ok",
    };
    [
        node,
        address,
        status.role.clone(),
        status.term.to_string(),
        status.last_applied_index.to_string(),
        last.saturating_sub(status.last_applied_index).to_string(),
        size(status.disk_free_bytes),
        status.version.clone(),
        age(status.uptime_ms),
        state.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use roadstead_proto::rpc::peer::NodeStatus;

    use super::*;

    fn node(node: u64, role: &str, applied: u64) -> Member {
        Member {
            node,
            address: format!("n{node}:7400"),
            is_voter: role != "learner",
            status: Some(NodeStatus {
                node,
                version: "0.1.0".to_owned(),
                feature_level_max: 2,
                role: role.to_owned(),
                term: 3,
                last_log_index: applied,
                last_applied_index: applied,
                disk_free_bytes: 5 << 30,
                disk_bytes: 10 << 30,
                uptime_ms: 3_600_000,
                ..NodeStatus::default()
            }),
            failure: String::new(),
        }
    }

    #[test]
    fn members_are_shown_with_what_they_say_or_why_they_do_not() {
        let mut silent = node(3, "follower", 0);
        silent.status = None;
        silent.failure = "gone".to_owned();
        let mut status = ClusterStatus {
            name: "prod".to_owned(),
            cluster_id: "0f".to_owned(),
            feature_level: 1,
            feature_level_max: 2,
            has_quorum: true,
            leader: 1,
            members: vec![
                node(1, "leader", 1_200),
                node(2, "follower", 1_190),
                silent,
                node(4, "learner", 200),
            ],
            answered_by: 1,
            ..ClusterStatus::default()
        };
        expect_file!["status.txt"].assert_eq(&words(&status));
        status.has_quorum = false;
        status.members.remove(0);
        assert!(words(&status).contains("no: 1 of 2 voters answer, and 2 are needed"));
    }
}
