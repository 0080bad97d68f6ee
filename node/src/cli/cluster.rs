//! `roadstead cluster`: who is there and how each is, and what an operator wants of them.

mod backup;
mod certs;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use roadstead_proto::rpc::admin::{
    AddNodeRequest, ClusterStatus, DrainNodeRequest, GetClusterStatusRequest, HashStateRequest,
    PromoteNodeRequest, RaiseFeatureLevelRequest, RemoveNodeRequest, SetLogLevelRequest,
    TakeSnapshotRequest, TransferLeadershipRequest,
};
use roadstead_proto::rpc::peer::InviteRequest;
use roadstead_proto::rpc::peer::peer_client::PeerClient;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::progress;
use super::remote::{self, EXIT_CODES, Failure, Node, Options, Output, print_either};
use crate::limits::{DRAIN_WAITED, SILENT_LOOKS, STATUS_LOOK};

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Asking(Asking),
    /// Make the data folder of a cluster's first node out of a backup. Asks no node.
    Restore {
        /// What `backup` has written.
        file: PathBuf,
        /// The configuration of the node.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Make a CA, and certificates of it for nodes and operators. Asks no node.
    Certs(certs::Arguments),
}

/// Commands for which a node is asked.
#[derive(Debug, Subcommand)]
enum Asking {
    /// Show the members, who leads, and how far each is.
    #[command(after_help = EXIT_CODES)]
    Status {
        /// Show it again every so many seconds, until interrupted.
        #[arg(
            long,
            value_name = "SECONDS",
            num_args = 0..=1,
            default_missing_value = "2",
            value_parser = clap::value_parser!(u64).range(1..=3_600)
        )]
        watch: Option<u64>,
    },
    /// Have a fresh node join that waits at an address, since its configuration does not say whom.
    #[command(after_help = EXIT_CODES)]
    Add {
        /// Its `cluster.advertise`.
        #[arg(value_name = "HOST:PORT")]
        node: String,
    },
    /// Tell the fresh node at --address, its `cluster.advertise`, whom to join.
    #[command(after_help = EXIT_CODES)]
    Join {
        /// The `cluster.advertise` of a node of the cluster.
        node: String,
    },
    /// Take a node out of the cluster for ever, whether it still runs or not.
    #[command(after_help = EXIT_CODES)]
    Remove {
        /// Its id or its address, as `status` shows them.
        node: String,
    },
    /// Have a node vote that has caught up. Nodes that join do so by themselves.
    #[command(after_help = EXIT_CODES)]
    Promote {
        /// Its id or its address.
        node: String,
    },
    /// Let another node lead.
    #[command(after_help = EXIT_CODES)]
    Transfer {
        /// Its id or its address; without one, whoever lags least.
        node: Option<String>,
    },
    /// Have a node finish its requests, hand over and stop, and wait until it has.
    #[command(after_help = EXIT_CODES)]
    Drain {
        /// Its id or its address.
        node: String,
        /// Do not wait until it has stopped.
        #[arg(long)]
        no_wait: bool,
    },
    /// Have the node that is asked write its state to disk, and shorten its log.
    #[command(after_help = EXIT_CODES)]
    Snapshot,
    /// Raise the feature level for ever, once every node has a version that can apply it.
    #[command(after_help = EXIT_CODES)]
    RaiseFeatureLevel {
        /// The level.
        level: u64,
    },
    /// Set what the node that is asked logs, until it is started again.
    #[command(after_help = EXIT_CODES)]
    LogLevel {
        /// As in RUST_LOG: `debug`, or `info,roadstead_cluster=debug`.
        filter: String,
    },
    /// Write the metadata to a file, from which a cluster can be begun anew.
    #[command(after_help = EXIT_CODES)]
    Backup {
        /// The file; it gets this name when it is whole.
        file: PathBuf,
    },
    /// Print a hash over everything that the node which is asked has applied.
    #[command(after_help = EXIT_CODES)]
    Hash,
}

/// Runs those that ask no node here, and the others by a node.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { options, command } = arguments;
    match command {
        Command::Certs(arguments) => remote::ended(certs::run(&arguments)),
        Command::Restore { file, config } => {
            remote::ended(backup::restore(options.output, &file, config))
        }
        Command::Asking(asking) => remote::run(ask_node(options, asking)),
    }
}

async fn ask_node(options: Options, asking: Asking) -> Result<(), Failure> {
    let mut node = Node::connect(&options).await?;
    let output = options.output;
    match asking {
        Asking::Backup { file } => backup::back_up(node, output, &file).await,
        Asking::Status { watch: None } => status::show(&ask(&mut node).await?, output),
        Asking::Status {
            watch: Some(seconds),
        } => watch(node, output, Duration::from_secs(seconds)).await,
        Asking::Add { node: address } => {
            let answer = node.client.add_node(AddNodeRequest { address });
            let id = answer.await.map_err(|error| node.failed(&error))?;
            let id = id.into_inner().node;
            let words = format!("node {id} has joined and votes");
            print_either(output, &json!({ "added": id }), &words)
        }
        Asking::Join { node: join } => {
            let words = format!("it joins the cluster of {join}; its log says how that goes");
            let document = json!({ "joins": join });
            let mut fresh = PeerClient::new(node.channel.clone());
            let answer = fresh.invite(InviteRequest { join }).await;
            answer.map_err(|error| node.failed(&error))?;
            print_either(output, &document, &words)
        }
        Asking::Remove { node: name } => {
            let id = find(&ask(&mut node).await?, &name)?;
            let request = RemoveNodeRequest { node: id };
            let answer = node.client.remove_node(request).await;
            answer.map_err(|error| node.failed(&error))?;
            let words = format!("node {id} is no member any more, and its address is free");
            print_either(output, &json!({ "removed": id }), &words)
        }
        Asking::Promote { node: name } => {
            let id = find(&ask(&mut node).await?, &name)?;
            let request = PromoteNodeRequest { node: id };
            let answer = node.client.promote_node(request).await;
            answer.map_err(|error| node.failed(&error))?;
            print_either(output, &json!({ "voter": id }), &format!("node {id} votes"))
        }
        Asking::Transfer { node: name } => transfer(node, output, name).await,
        Asking::Drain {
            node: name,
            no_wait,
        } => drain(node, output, &name, no_wait).await,
        Asking::Snapshot => {
            let answer = node.client.take_snapshot(TakeSnapshotRequest {}).await;
            let index = answer.map_err(|error| node.failed(&error))?;
            let index = index.into_inner().index;
            let words = format!("a snapshot up to entry {index} is on disk");
            print_either(output, &json!({ "index": index }), &words)
        }
        Asking::RaiseFeatureLevel { level } => {
            let request = RaiseFeatureLevelRequest { level };
            let answer = node.client.raise_feature_level(request).await;
            answer.map_err(|error| node.failed(&error))?;
            let words = format!("the feature level is {level}");
            print_either(output, &json!({ "feature_level": level }), &words)
        }
        Asking::LogLevel { filter } => {
            let words = format!("the node logs {filter}, until it is started again");
            let document = json!({ "filter": filter });
            let answer = node.client.set_log_level(SetLogLevelRequest { filter });
            answer.await.map_err(|error| node.failed(&error))?;
            print_either(output, &document, &words)
        }
        Asking::Hash => {
            let answer = node.client.hash_state(HashStateRequest {}).await;
            let found = answer.map_err(|error| node.failed(&error))?.into_inner();
            let words = format!("{} at entry {}", found.hash, found.index);
            let document = json!({ "index": found.index, "hash": found.hash });
            print_either(output, &document, &words)
        }
    }
}

async fn ask(node: &mut Node) -> Result<ClusterStatus, Failure> {
    let request = GetClusterStatusRequest {};
    let answer = node.client.get_cluster_status(request).await;
    let status = answer.map_err(|error| node.failed(&error))?;
    Ok(status.into_inner())
}

/// The id of a member by its id or its address. An id that is no member's may be one that was
/// removed half: whoever is asked to change it says so.
fn find(status: &ClusterStatus, name: &str) -> Result<u64, Failure> {
    let mut members = status.members.iter();
    if let Some(member) = members.find(|member| member.address == name) {
        return Ok(member.node);
    }
    name.parse().map_err(|_| {
        Failure::usage(format!(
            "{name:?} is neither the id nor the address of a member; `roadstead cluster status` \
             shows both"
        ))
    })
}

async fn watch(mut node: Node, output: Output, every: Duration) -> Result<(), Failure> {
    loop {
        let status = ask(&mut node).await?;
        status::show_again(&status, output)?;
        sleep(every).await;
    }
}

async fn transfer(mut node: Node, output: Output, name: Option<String>) -> Result<(), Failure> {
    let id = match name {
        Some(name) => find(&ask(&mut node).await?, &name)?,
        None => 0,
    };
    let request = TransferLeadershipRequest { node: id };
    let answer = node.client.transfer_leadership(request).await;
    let leader = answer.map_err(|error| node.failed(&error))?;
    let leader = leader.into_inner().leader;
    let words = format!("node {leader} leads");
    print_either(output, &json!({ "leader": leader }), &words)
}

async fn drain(mut node: Node, output: Output, name: &str, no_wait: bool) -> Result<(), Failure> {
    let status = ask(&mut node).await?;
    let id = find(&status, name)?;
    let (is_itself, mut silent) = (status.answered_by == id, 0);
    let request = DrainNodeRequest { node: id };
    let answer = node.client.drain_node(request).await;
    answer.map_err(|error| node.failed(&error))?;
    if no_wait {
        let words = format!("node {id} drains, and stops by itself");
        return print_either(output, &json!({ "draining": id }), &words);
    }
    let spinner = progress::spinner(output);
    spinner.set_message(format!("node {id} finishes its requests"));
    let deadline = Instant::now() + DRAIN_WAITED;
    let ended = loop {
        match ask(&mut node).await {
            // The node that is asked is the one that is drained: its end is its answer.
            Err(_) if is_itself => break Ok(()),
            Err(failure) => break Err(failure),
            Ok(status) => {
                let member = status.members.iter().find(|member| member.node == id);
                let is_silent = member.is_none_or(|member| member.status.is_none());
                silent = if is_silent { silent + 1 } else { 0 };
            }
        }
        // One answer may get lost.
        if silent >= SILENT_LOOKS {
            break Ok(());
        }
        if Instant::now() >= deadline {
            let waited =
                format!("node {id} has not stopped after {DRAIN_WAITED:?}; look at its log");
            break Err(Failure::here(waited));
        }
        sleep(STATUS_LOOK).await;
    };
    spinner.finish_and_clear();
    ended?;
    let words = format!("node {id} has stopped");
    print_either(output, &json!({ "stopped": id }), &words)
}
