//! `roadstead upload`: which uploads are in progress, and cancel one.

use clap::{Args, Subcommand};
use roadstead_proto::rpc::admin::{CancelUploadRequest, ListUploadsRequest, UploadPage};
use serde_json::{Value, json};

use super::figures::{age, size, time};
use super::remote::{EXIT_CODES, Failure, Node, Options, Output, print_either};
use super::repositories::{Page, print_page};
use super::table::{Table, left, right};

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
    /// Show which uploads are in progress.
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        page: Page,
    },
    /// End an upload, also one that a client works on.
    #[command(after_help = EXIT_CODES)]
    Cancel {
        /// Its id, as `list` shows it.
        id: String,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { options, command } = arguments;
    let node = Node::connect(&options).await?;
    match command {
        Command::List { page } => list(node, options.output, page).await,
        Command::Cancel { id } => cancel(node, options.output, id).await,
    }
}

async fn list(mut node: Node, output: Output, page: Page) -> Result<(), Failure> {
    let request = ListUploadsRequest {
        last: page.last.unwrap_or_default(),
        limit: page.limit,
    };
    let answer = node.client.list_uploads(request).await;
    let page = answer.map_err(|error| node.failed(&error))?.into_inner();
    let last = page.uploads.last().filter(|_| page.has_more);
    let last = last.map(|last| last.id.as_str());
    print_page(output, &page_json(&page), &page_table(&page), last)
}

fn page_json(page: &UploadPage) -> Value {
    let uploads = page.uploads.iter().map(|upload| {
        json!({
            "id": upload.id,
            "repository": upload.repository,
            "offset": upload.offset,
            "started_at_unix_ms": upload.started_at_unix_ms,
            "idle_ms": upload.idle_ms,
            "owner_node": upload.owner_node,
        })
    });
    json!({
        "uploads": uploads.collect::<Vec<_>>(),
        "has_more": page.has_more,
    })
}

fn page_table(page: &UploadPage) -> String {
    let mut table = Table::new(&[
        left("ID"),
        left("REPOSITORY"),
        right("RECEIVED"),
        left("STARTED"),
        right("IDLE"),
        right("NODE"),
    ]);
    for upload in &page.uploads {
        table.row([
            upload.id.clone(),
            upload.repository.clone(),
            size(upload.offset),
            time(upload.started_at_unix_ms),
            age(upload.idle_ms),
            upload.owner_node.to_string(),
        ]);
    }
    table.to_string()
}

async fn cancel(mut node: Node, output: Output, id: String) -> Result<(), Failure> {
    let request = CancelUploadRequest { id: id.clone() };
    let answer = node.client.cancel_upload(request).await;
    answer.map_err(|error| node.failed(&error))?;
    let document = json!({ "id": id, "is_cancelled": true });
    print_either(output, &document, &format!("the upload {id} is cancelled"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use roadstead_proto::rpc::admin::Upload;

    use super::*;

    #[test]
    fn a_page_is_a_table_or_a_document() {
        let page = UploadPage {
            uploads: vec![Upload {
                id: "2f0c1f2e".to_owned(),
                repository: "library/alpine".to_owned(),
                offset: 5 << 20,
                started_at_unix_ms: 1_795_365_011_000,
                idle_ms: 61_000,
                owner_node: 1,
            }],
            has_more: false,
        };
        expect![[r#"
            ID        REPOSITORY      RECEIVED  STARTED                       IDLE  NODE
            2f0c1f2e  library/alpine   5.0 MiB  2026-11-22 16:30:11 UTC  1 min 1 s     1
        "#]]
        .assert_eq(&page_table(&page));
        let document = page_json(&page);
        assert_eq!(document["uploads"][0]["offset"], 5 << 20);
        assert_eq!(document["has_more"], false);
    }
}
