//! `roadstead repository`: which there are, and delete one.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use roadstead_proto::rpc::admin::{
    DeleteRepositoryRequest, DeletionProgress, ListRepositoriesRequest, RepositoryPage,
};
use serde_json::{Value, json};

use super::figures::time;
use super::progress;
use super::remote::{EXIT_CODES, Failure, Node, Options, Output, print, print_event, print_json};
use super::table::{Table, left, right};
use super::{complain, say};
use crate::limits::ADMINISTRATION_PAGE;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Which part of a list is wanted.
#[derive(Debug, Args)]
pub(super) struct Page {
    /// Begin after this one.
    #[arg(long)]
    pub(super) last: Option<String>,
    /// Show at most so many.
    #[arg(
        long,
        value_name = "N",
        default_value_t = ADMINISTRATION_PAGE as u32,
        value_parser = clap::value_parser!(u32).range(1..=ADMINISTRATION_PAGE as i64)
    )]
    pub(super) limit: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which repositories there are, in order.
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        page: Page,
    },
    /// Delete a repository with all that is in it, and wait until it is gone.
    #[command(after_help = EXIT_CODES)]
    Delete {
        /// The repository.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    match command {
        Command::List { page } => list(Node::connect(&options).await?, options.output, page).await,
        Command::Delete { name, yes } => {
            if !yes {
                confirm(&name)?;
            }
            delete(Node::connect(&options).await?, options.output, name).await
        }
    }
}

/// Asks whoever sits at the terminal.
fn confirm(name: &str) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage(
            "there is no terminal to ask at; `--yes` deletes without asking",
        ));
    }
    let question = format!("All of `{name}` will be deleted. Type its name to go on: ");
    let mut error = io::stderr();
    let asked = write!(error, "{question}").and_then(|()| error.flush());
    let mut answer = String::new();
    let answered = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    answered.map_err(|error| Failure::here(format!("the terminal cannot be read: {error}")))?;
    if answer.trim() == name {
        Ok(())
    } else {
        Err(Failure::here("nothing was deleted"))
    }
}

async fn list(mut node: Node, output: Output, page: Page) -> Result<(), Failure> {
    let request = ListRepositoriesRequest {
        last: page.last.unwrap_or_default(),
        limit: page.limit,
    };
    let answer = node.client.list_repositories(request).await;
    let page = answer.map_err(|error| node.failed(&error))?.into_inner();
    let last = page.repositories.last().filter(|_| page.has_more);
    let last = last.map(|last| last.name.as_str());
    print_page(output, &page_json(&page), &page_table(&page), last)
}

/// Prints a page, and where more follows how to go on, which does not end up in the table.
pub(super) fn print_page(
    output: Output,
    document: &Value,
    table: &str,
    last: Option<&str>,
) -> Result<(), Failure> {
    match output {
        Output::Json => print_json(document),
        Output::Table => {
            print(table)?;
            if let Some(last) = last {
                let more = format!("there are more: go on with --last {last}");
                say(io::stderr(), &more);
            }
            Ok(())
        }
    }
}

fn page_json(page: &RepositoryPage) -> Value {
    let repositories = page.repositories.iter().map(|repository| {
        json!({
            "name": repository.name,
            "manifests": repository.manifests,
            "tags": repository.tags,
            "blobs": repository.blobs,
            "created_at_unix_ms": repository.created_at_unix_ms,
            "is_deleting": repository.is_deleting,
        })
    });
    json!({
        "repositories": repositories.collect::<Vec<_>>(),
        "has_more": page.has_more,
    })
}

fn page_table(page: &RepositoryPage) -> String {
    let mut table = Table::new(&[
        left("NAME"),
        right("TAGS"),
        right("MANIFESTS"),
        right("BLOBS"),
        left("CREATED"),
        left("STATE"),
    ]);
    for repository in &page.repositories {
        let state = if repository.is_deleting {
            "being deleted"
        } else {
            ""
        };
        table.row([
            repository.name.clone(),
            repository.tags.to_string(),
            repository.manifests.to_string(),
            repository.blobs.to_string(),
            time(repository.created_at_unix_ms),
            state.to_owned(),
        ]);
    }
    table.to_string()
}

async fn delete(mut node: Node, output: Output, name: String) -> Result<(), Failure> {
    let request = DeleteRepositoryRequest {
        repository: name.clone(),
    };
    let answer = node.client.delete_repository(request).await;
    let mut events = answer.map_err(|error| node.failed(&error))?.into_inner();
    let bar = progress::bar(output, 0);
    let ended = loop {
        match events.message().await {
            Ok(Some(event)) => {
                let left = event.manifests + event.tags + event.blobs;
                let total = bar.length().unwrap_or(0).max(left);
                bar.set_length(total);
                bar.set_position(total - left);
                if output == Output::Json {
                    print_event(&deletion_json(&event))?;
                }
                if event.is_finished {
                    break Ok(());
                }
            }
            Ok(None) => break Err(Failure::here("the node ended its answer early")),
            Err(error) => break Err(node.failed(&error)),
        }
    };
    bar.finish_and_clear();
    if ended.is_err() {
        complain("the deletion goes on by itself");
    }
    ended?;
    match output {
        Output::Json => Ok(()),
        Output::Table => print(&format!("{name} is deleted")),
    }
}

fn deletion_json(event: &DeletionProgress) -> Value {
    json!({
        "manifests": event.manifests,
        "tags": event.tags,
        "blobs": event.blobs,
        "is_finished": event.is_finished,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use roadstead_proto::rpc::admin::Repository;

    use super::*;

    #[test]
    fn a_page_is_a_table_or_a_document() {
        let page = RepositoryPage {
            repositories: vec![
                Repository {
                    name: "library/alpine".to_owned(),
                    manifests: 2,
                    tags: 600,
                    blobs: 3,
                    created_at_unix_ms: 1_795_365_011_000,
                    is_deleting: false,
                },
                Repository {
                    name: "old".to_owned(),
                    is_deleting: true,
                    ..Repository::default()
                },
            ],
            has_more: true,
        };
        expect![[r#"
            NAME            TAGS  MANIFESTS  BLOBS  CREATED                  STATE
            library/alpine   600          2      3  2026-11-22 16:30:11 UTC
            old                0          0      0  -                        being deleted
        "#]]
        .assert_eq(&page_table(&page));
        let document = page_json(&page);
        assert_eq!(document["repositories"][0]["tags"], 600);
        assert_eq!(document["repositories"][1]["is_deleting"], true);
        assert_eq!(document["has_more"], true);
    }
}
