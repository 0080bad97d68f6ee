//! Answers and rows as text, to be read in a snapshot. Wall clock times are written `u1000`.

use std::collections::BTreeMap;

use prost::Message;
use roadstead_cluster::metadata::{Table, View, keys};
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Refusal, Response};
use roadstead_proto::rpc::state::{self, object};

/// Every row of the state: `table key` to its value.
pub(crate) fn rows(view: &impl View) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for table in Table::ALL {
        let rows = view.scan(table, &[], &[], usize::MAX).expect("a scan");
        for (key, bytes) in rows {
            let name = format!("{} {}", table.name(), key_text(table, &key));
            lines.insert(name.trim_end().to_owned(), row_text(table, &bytes));
        }
    }
    lines
}

/// What became of the rows: `+` is new, `~` has a new value, `-` is gone.
pub(crate) fn changes(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> String {
    let mut lines = Vec::new();
    for (name, value) in after {
        let separator = if value.is_empty() { "" } else { " = " };
        match before.get(name) {
            None => lines.push((name, format!("+ {name}{separator}{value}\n"))),
            Some(former) if former != value => {
                lines.push((name, format!("~ {name}{separator}{value}\n")));
            }
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        lines.push((name, format!("- {name}\n")));
    }
    lines.sort_by_key(|(name, _)| *name);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// An answer.
pub(crate) fn response(response: &Response) -> String {
    match response.outcome.as_ref().expect("an outcome") {
        Outcome::Refusal(refusal) => refusal_text(refusal),
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Started(started) => format!("started boot {}", started.boot),
        Outcome::Claimed(claimed) => {
            format!(
                "claimed {}",
                upload(claimed.upload.as_ref().expect("a row"))
            )
        }
        Outcome::Deletion(deletion) if deletion.is_finished => "finished".to_owned(),
        Outcome::Deletion(_) => "to be continued".to_owned(),
        Outcome::Condemned(condemned) => {
            format!(
                "condemned links {} objects {}",
                condemned.links, condemned.objects
            )
        }
        Outcome::Admitted(admitted) => format!("admitted {}", admitted.node),
        Outcome::Expired(expired) => format!("expired {}", expired.count),
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    let mut words = vec![
        "refused".to_owned(),
        refusal.reason().as_str_name().to_owned(),
    ];
    words.extend(refusal.digests.iter().cloned());
    words.join(" ")
}

fn key_text(table: Table, key: &[u8]) -> String {
    let split = || keys::split_number(key).expect("a number");
    match table {
        Table::Candidates | Table::Reclaimable | Table::Unheld => {
            let (number, rest) = split();
            format!("{number} {}", keys::parts(rest).join("/"))
        }
        Table::Members => split().0.to_string(),
        Table::Requests => {
            let (node, rest) = split();
            let (boot, rest) = keys::split_number(rest).expect("a boot");
            let (serial, _) = keys::split_number(rest).expect("a serial");
            format!("{node}.{boot}#{serial}")
        }
        _ => keys::parts(key).join("/"),
    }
}

fn decode<R: Message + Default>(bytes: &[u8]) -> R {
    R::decode(bytes).expect("a row that decodes")
}

fn bytes_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `name`, if it is so.
fn flag(is_so: bool, name: &str) -> String {
    if is_so {
        format!(" {name}")
    } else {
        String::new()
    }
}

/// `name value`, if there is one.
fn part(name: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else {
        format!("{name} {value}")
    }
}

fn row_text(table: Table, bytes: &[u8]) -> String {
    match table {
        Table::Repositories => {
            let row: state::Repository = decode(bytes);
            format!(
                "manifests {} tags {} links {} created u{}{}",
                row.manifests,
                row.tags,
                row.links,
                row.created_at_unix_ms,
                flag(row.deleting, "deleting")
            )
        }
        Table::Tags => {
            let row: state::Tag = decode(bytes);
            format!("{} u{}", row.digest, row.updated_at_unix_ms)
        }
        Table::Manifests => manifest(&decode(bytes)),
        Table::ManifestBodies => bytes_text(&decode::<state::ManifestBody>(bytes).body),
        Table::Contents => decode::<state::Contents>(bytes).digests.join(" "),
        Table::Blobs => {
            let row: state::Blob = decode(bytes);
            let (key, size, at) = (row.object_key, row.size, row.committed_at_unix_ms);
            format!("{key} size {size} u{at}{}", flag(row.damaged, "damaged"))
        }
        Table::Committed => {
            let row: state::Committed = decode(bytes);
            format!("{} until {}", row.repository, row.expires_at_ms)
        }
        Table::Links => {
            let row: state::Link = decode(bytes);
            format!("hold {} u{}", row.hold_until_ms, row.linked_at_unix_ms)
        }
        Table::Objects => object(decode(bytes)),
        Table::Uploads => upload(&decode(bytes)),
        Table::Requests => response(&decode(bytes)),
        Table::Members => member(&decode(bytes)),
        Table::Settings => settings(&decode(bytes)),
        Table::Deletions => part("told", &decode::<state::Deletion>(bytes).last_referrer),
        Table::Clock => decode::<state::Clock>(bytes).now_ms.to_string(),
        Table::TaggedBy
        | Table::ManifestIn
        | Table::LinkedIn
        | Table::References
        | Table::Referrers
        | Table::Candidates
        | Table::Reclaimable
        | Table::Unheld => {
            decode::<state::Presence>(bytes);
            String::new()
        }
        Table::Events | Table::Cursors => unreachable!("no command writes these yet"),
    }
}

fn manifest(row: &state::Manifest) -> String {
    let unheld = row.unheld_since_ms.map(|since| since.to_string());
    format!(
        "{} size {} u{}{}{}{}",
        row.media_type,
        row.size,
        row.pushed_at_unix_ms,
        part(" subject", &row.subject),
        part(" unheld", &unheld.unwrap_or_default()),
        flag(row.deleting, "deleting")
    )
}

fn object(row: state::Object) -> String {
    match row.state.expect("a state") {
        object::State::Uploading(upload) => format!("uploading {upload}"),
        object::State::Live(digest) => format!("live {digest}"),
        object::State::Reclaimed(row) => {
            let checkpoint = part(" checkpoint", &bytes_text(&row.checkpoint));
            format!("reclaimed {} size {}{checkpoint}", row.since_ms, row.size)
        }
    }
}

/// `offset 5 c5 h-c5` is an offset with its checkpoint and hash state.
fn upload(row: &state::Upload) -> String {
    let owner = row.owner.expect("an owner");
    let states = [&row.checkpoint, &row.hash_state].map(|state| part("", &bytes_text(state)));
    format!(
        "in {} at {}{} epoch {} by {}.{}{} offset {}{} updated {} u{}",
        row.repository,
        row.object_key,
        part(" former", &row.former_key),
        row.epoch,
        owner.node,
        owner.boot,
        flag(row.released, "released"),
        row.offset,
        states.concat(),
        row.updated_at_ms,
        row.started_at_unix_ms,
    )
}

fn member(row: &state::Member) -> String {
    format!(
        "{} {} boot {} lowest {} level-max {}{}{}",
        row.instance,
        row.address,
        row.boot,
        row.lowest_serial,
        row.feature_level_max,
        part(" version", &row.version),
        flag(row.removed, "removed")
    )
}

fn settings(row: &state::Settings) -> String {
    let number = |name, number: Option<u64>| number.map(|it| format!(" {name} {it}"));
    let untagged = row.untagged.as_ref();
    let only = untagged.map_or_else(String::new, |it| it.repositories.join(" "));
    format!(
        "{} incarnation {} level {} grace {}{}{}{}{}{}{}{}",
        row.cluster_id,
        row.incarnation,
        row.feature_level,
        row.grace_ms,
        flag(row.marker_written, "marker"),
        number("reading", row.reading_delay_ms).unwrap_or_default(),
        number("uploads", row.upload_age_ms).unwrap_or_default(),
        number("untagged", untagged.map(|it| it.age_ms)).unwrap_or_default(),
        part(" only", &only),
        flag(row.collection_paused, "paused"),
        flag(row.verify_due, "unverified"),
    )
}
