//! `roadstead gc`: how collection goes, and what an operator wants of it.

use clap::{Args, Subcommand};
use roadstead_proto::rpc::admin::{
    Backlog, Collected, CollectionProgress, CollectionStatus, ExplainDigestRequest, Explanation,
    GetCollectionStatusRequest, Kept, PauseCollectionRequest, ResumeCollectionRequest,
    RunCollectionRequest, Sweep,
};
use serde_json::{Value, json};

use super::figures::{age, count, size, time};
use super::progress;
use super::remote::{EXIT_CODES, Failure, Node, Options, Output, print, print_either, print_event};
use super::table::Table;

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
    /// Show what waits, what was freed, and whether collection goes on.
    #[command(after_help = EXIT_CODES)]
    Status,
    /// Look for garbage now, and wait until that has ended.
    #[command(after_help = EXIT_CODES)]
    Run {
        /// Only say what would be collected.
        #[arg(long)]
        dry_run: bool,
        /// Also look for objects in the store that nothing names.
        #[arg(long)]
        sweep: bool,
    },
    /// Stop collection in the whole cluster until `resume`, restarts included.
    #[command(after_help = EXIT_CODES)]
    Pause,
    /// Let collection go on.
    #[command(after_help = EXIT_CODES)]
    Resume,
    /// Say why a digest is kept: who references it, and until when it is held.
    #[command(after_help = EXIT_CODES)]
    Explain {
        /// The digest of a blob or a manifest, as in `sha256:…`.
        digest: String,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    let node = Node::connect(&options).await?;
    match command {
        Command::Status => show_status(node, options.output).await,
        Command::Run { dry_run, sweep } => {
            let request = RunCollectionRequest { dry_run, sweep };
            collect(node, options.output, request).await
        }
        Command::Pause => set_paused(node, options.output, true).await,
        Command::Resume => set_paused(node, options.output, false).await,
        Command::Explain { digest } => explain(node, options.output, digest).await,
    }
}

async fn show_status(mut node: Node, output: Output) -> Result<(), Failure> {
    let answer = node
        .client
        .get_collection_status(GetCollectionStatusRequest {});
    let status = answer.await.map_err(|error| node.failed(&error))?;
    let status = status.into_inner();
    print_either(output, &status_json(&status), &status_table(&status))
}

fn status_json(status: &CollectionStatus) -> Value {
    let backlog = status.backlog.unwrap_or_default();
    json!({
        "is_leader": status.is_leader,
        "is_paused": status.is_paused,
        "is_read_only": status.is_read_only,
        "alarm": (!status.alarm.is_empty()).then_some(&status.alarm),
        "phase": status.phase,
        "rate": status.rate,
        "pace": status.pace,
        "backlog": {
            "links": backlog.links,
            "objects": backlog.objects,
            "manifests": backlog.manifests,
            "oldest_object_age_ms": backlog.oldest_object_age_ms,
            "oldest_link_overdue_ms": backlog.oldest_link_overdue_ms,
            "counted_up_to": backlog.counted_up_to,
        },
        "collected": collected_json(&status.collected.unwrap_or_default()),
        "last_sweep": status.last_sweep.as_ref().map(sweep_json),
        "grace_ms": status.grace_ms,
        "reading_delay_ms": status.reading_delay_ms,
    })
}

fn collected_json(collected: &Collected) -> Value {
    json!({
        "uploads": collected.uploads,
        "manifests": collected.manifests,
        "links": collected.links,
        "objects": collected.objects,
        "bytes": collected.bytes,
        "orphans": collected.orphans,
        "leftovers": collected.leftovers,
        "failures": collected.failures,
    })
}

fn sweep_json(sweep: &Sweep) -> Value {
    json!({
        "started_at_unix_ms": sweep.started_at_unix_ms,
        "duration_ms": sweep.duration_ms,
        "objects": sweep.objects,
        "orphans": sweep.orphans,
        "leftovers": sweep.leftovers,
        "foreign": sweep.foreign,
        "error": (!sweep.error.is_empty()).then_some(&sweep.error),
    })
}

/// Whether it goes on, in one line.
fn state_of(status: &CollectionStatus) -> String {
    if !status.alarm.is_empty() {
        return format!("stopped: {}", status.alarm);
    }
    let state = if status.is_paused {
        "paused; `roadstead gc resume` lets it go on"
    } else if status.is_read_only {
        "stopped: the registry is read-only (`storage.maintenance.readonly`)"
    } else if !status.is_leader {
        "another node leads, and collects"
    } else {
        status.phase.as_str()
    };
    state.to_owned()
}

fn status_table(status: &CollectionStatus) -> String {
    let backlog = status.backlog.unwrap_or_default();
    let mut table = Table::of_facts();
    table.fact("collection", state_of(status));
    let pace = format!("{:.0} of {} objects a second", status.pace, status.rate);
    table.fact("pace", pace);
    table.fact("grace", age(status.grace_ms));
    table.fact("reading delay", age(status.reading_delay_ms));
    table.fact("links unreferenced", links_waiting(&backlog));
    table.fact("objects to delete", objects_waiting(&backlog));
    table.fact("manifests unheld", up_to(backlog.manifests, &backlog));
    table.fact("counted since", "the start of this node");
    collected_facts(&mut table, &status.collected.unwrap_or_default());
    match &status.last_sweep {
        Some(sweep) => sweep_facts(&mut table, sweep),
        None => table.fact("sweep", "none yet"),
    }
    table.to_string()
}

/// Counting may have stopped.
fn up_to(number: u64, backlog: &Backlog) -> String {
    if number > 0 && number >= backlog.counted_up_to {
        format!("{number} or more")
    } else {
        number.to_string()
    }
}

fn links_waiting(backlog: &Backlog) -> String {
    let links = up_to(backlog.links, backlog);
    match backlog.oldest_link_overdue_ms {
        Some(overdue_ms) if overdue_ms > 0 => {
            format!("{links}, the first due for {}", age(overdue_ms))
        }
        Some(_) => format!("{links}, all still held"),
        None => links,
    }
}

fn objects_waiting(backlog: &Backlog) -> String {
    let objects = up_to(backlog.objects, backlog);
    match backlog.oldest_object_age_ms {
        Some(age_ms) => format!("{objects}, the oldest for {}", age(age_ms)),
        None => objects,
    }
}

/// What is shown while it grows.
fn collected_words(collected: &Collected) -> String {
    format!(
        "{} ({})",
        count(collected.objects, "object"),
        size(collected.bytes)
    )
}

/// What was collected, of each kind.
fn collected_facts(table: &mut Table, collected: &Collected) {
    table.fact("freed", collected_words(collected));
    let removed = [
        count(collected.links, "link"),
        count(collected.manifests, "manifest"),
        count(collected.uploads, "upload"),
    ];
    table.fact("removed", removed.join(", "));
    if collected.orphans > 0 {
        table.fact("orphans", collected.orphans.to_string());
    }
    if collected.leftovers > 0 {
        table.fact("leftovers", collected.leftovers.to_string());
    }
    if collected.failures > 0 {
        let failures = count(collected.failures, "delete");
        table.fact("refused", format!("{failures} by the store; tried again"));
    }
}

fn sweep_facts(table: &mut Table, sweep: &Sweep) {
    let (begun, taken) = (time(sweep.started_at_unix_ms), age(sweep.duration_ms));
    table.fact("sweep", format!("{begun}, for {taken}"));
    let mut swept = format!(
        "{}, {}",
        count(sweep.objects, "object"),
        count(sweep.orphans, "orphan")
    );
    if sweep.leftovers > 0 {
        swept.push_str(&format!(", {}", count(sweep.leftovers, "leftover")));
    }
    if sweep.foreign > 0 {
        swept.push_str(&format!(", {} of a foreign name", sweep.foreign));
    }
    table.fact("swept", swept);
    if !sweep.error.is_empty() {
        table.fact("ended early", sweep.error.as_str());
    }
}

async fn collect(
    mut node: Node,
    output: Output,
    request: RunCollectionRequest,
) -> Result<(), Failure> {
    let answer = node.client.run_collection(request).await;
    let mut events = answer.map_err(|error| node.failed(&error))?.into_inner();
    let spinner = progress::spinner(output);
    let mut last = CollectionProgress::default();
    let ended = loop {
        match events.message().await {
            Ok(Some(event)) => {
                let collected = collected_words(&event.collected.unwrap_or_default());
                spinner.set_message(format!("{}: {collected}", event.phase));
                if output == Output::Json {
                    print_event(&progress_json(&event))?;
                }
                last = event;
            }
            Ok(None) if last.is_finished => break Ok(()),
            Ok(None) => break Err(Failure::here("the node ended the run early; try again")),
            Err(error) => break Err(node.failed(&error)),
        }
    };
    spinner.finish_and_clear();
    ended?;
    match output {
        Output::Json => Ok(()),
        Output::Table => print(&run_table(&last, request.dry_run)),
    }
}

fn progress_json(event: &CollectionProgress) -> Value {
    json!({
        "phase": event.phase,
        "collected": collected_json(&event.collected.unwrap_or_default()),
        "is_finished": event.is_finished,
        "sweep": event.sweep.as_ref().map(sweep_json),
    })
}

fn run_table(last: &CollectionProgress, is_dry: bool) -> String {
    let mut table = Table::of_facts();
    if is_dry {
        table.fact("dry run", "nothing was changed; a run would have done this");
    }
    collected_facts(&mut table, &last.collected.unwrap_or_default());
    if let Some(sweep) = &last.sweep {
        sweep_facts(&mut table, sweep);
    }
    table.to_string()
}

async fn set_paused(mut node: Node, output: Output, is_paused: bool) -> Result<(), Failure> {
    let client = &mut node.client;
    let answer = if is_paused {
        client
            .pause_collection(PauseCollectionRequest {})
            .await
            .map(drop)
    } else {
        client
            .resume_collection(ResumeCollectionRequest {})
            .await
            .map(drop)
    };
    answer.map_err(|error| node.failed(&error))?;
    let words = if is_paused {
        "collection is paused until `roadstead gc resume`, restarts included"
    } else {
        "collection goes on"
    };
    print_either(output, &json!({ "is_paused": is_paused }), words)
}

async fn explain(mut node: Node, output: Output, digest: String) -> Result<(), Failure> {
    let answer = node.client.explain_digest(ExplainDigestRequest { digest });
    let explanation = answer.await.map_err(|error| node.failed(&error))?;
    let explanation = explanation.into_inner();
    let words = explanation_words(&explanation);
    print_either(output, &explanation_json(&explanation), &words)
}

fn explanation_json(explanation: &Explanation) -> Value {
    let kept = explanation.kept.iter().map(|kept| {
        json!({
            "repository": kept.repository,
            "tags": kept.tags,
            "referenced_by": kept.referenced_by,
            "hold_remaining_ms": kept.hold_remaining_ms,
            "unheld_for_ms": kept.unheld_for_ms,
            "expires_in_ms": kept.expires_in_ms,
            "subject": (!kept.subject.is_empty()).then_some(&kept.subject),
        })
    });
    json!({
        "digest": explanation.digest,
        "is_manifest": explanation.is_manifest,
        "blob": explanation.blob.as_ref().map(|blob| json!({
            "size": blob.size,
            "object_key": blob.object_key,
            "is_damaged": blob.is_damaged,
            "committed_at_unix_ms": blob.committed_at_unix_ms,
        })),
        "kept": kept.collect::<Vec<_>>(),
        "has_more": explanation.has_more,
    })
}

fn explanation_words(explanation: &Explanation) -> String {
    let mut table = Table::of_facts();
    let kind = match (explanation.is_manifest, &explanation.blob) {
        (true, Some(_)) => "manifest and blob",
        (true, None) => "manifest",
        (false, _) => "blob",
    };
    table.fact(kind, explanation.digest.as_str());
    if let Some(blob) = &explanation.blob {
        table.fact("size", size(blob.size));
        table.fact("stored", time(blob.committed_at_unix_ms));
        table.fact("object", blob.object_key.as_str());
        if blob.is_damaged {
            table.fact(
                "damaged",
                "its bytes are missing or wrong; the next push heals it",
            );
        }
    }
    let mut words = table.to_string();
    for kept in &explanation.kept {
        words.push_str(&format!("\n{}\n", kept.repository));
        for reason in reasons(kept, explanation.is_manifest) {
            words.push_str(&format!("  {reason}\n"));
        }
    }
    if explanation.has_more {
        words.push_str("\nand more repositories that are not shown\n");
    }
    words
}

/// Why it is kept in one repository, a line for each reason.
fn reasons(kept: &Kept, is_manifest: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    for tag in &kept.tags {
        reasons.push(format!("tagged {tag}"));
    }
    for manifest in &kept.referenced_by {
        reasons.push(format!("referenced by the manifest {manifest}"));
    }
    if !kept.subject.is_empty() {
        reasons.push(format!("held by its subject {}", kept.subject));
    }
    match kept.hold_remaining_ms {
        Some(0) => reasons.push("unreferenced, its hold is over: it is collected next".to_owned()),
        Some(left_ms) => {
            reasons.push(format!("unreferenced, held for another {}", age(left_ms)));
        }
        None => {}
    }
    if let Some(unheld_ms) = kept.unheld_for_ms {
        let unheld = age(unheld_ms);
        let until = match kept.expires_in_ms {
            Some(0) => "it expires next".to_owned(),
            Some(left_ms) => format!("it expires in {}", age(left_ms)),
            None => "it stays, for `gc.untagged` does not expire it".to_owned(),
        };
        reasons.push(format!("held by nothing for {unheld}: {until}"));
    }
    if reasons.is_empty() {
        let what = if is_manifest { "manifest" } else { "blob" };
        reasons.push(format!("a {what} of this repository"));
    }
    reasons
}

#[cfg(test)]
mod tests;
