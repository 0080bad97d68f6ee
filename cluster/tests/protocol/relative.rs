//! Cluster time as a distance from now, so that time can go on for ever in finitely many states.
//!
//! After each command all times in the tables are moved so that now is always `NOW_MS`, and those
//! whose exact value no rule asks for any more are clamped: a hold that is over is over, however
//! long. What such a state allows is what the real one allows, because rules only compare times
//! with now. Nothing else of the rows is touched.

use prost::Message;
use roadstead_cluster::metadata::view::{Memory, ViewExt};
use roadstead_cluster::metadata::{Table, View, keys};
use roadstead_proto::rpc::state::{Clock, Committed, Link, Manifest, Object, Upload, object};

use super::universe::{NOW_MS, READING_DELAY, TICK_MS};

/// A row of a table, under its key.
type Row = ((Table, Vec<u8>), Vec<u8>);

/// The rows of all tables, in order.
pub(super) type Rows = Vec<Row>;

/// Moves a time, but not below `floor`.
struct Shift {
    clock_ms: u64,
}

impl Shift {
    fn time(&self, time_ms: u64, floor: u64) -> u64 {
        let ago = self.clock_ms.saturating_sub(time_ms);
        let ahead = time_ms.saturating_sub(self.clock_ms);
        (NOW_MS + ahead).saturating_sub(ago).max(floor)
    }

    fn hold(&self, time_ms: u64) -> u64 {
        self.time(time_ms, NOW_MS)
    }

    fn since(&self, time_ms: u64) -> u64 {
        self.time(time_ms, NOW_MS - READING_DELAY * TICK_MS)
    }
}

/// The rows of `state`, seen from now.
pub(super) fn rows(state: &Memory) -> Rows {
    let clock = state.row(&keys::clock()).expect("a clock that decodes");
    let shift = Shift {
        clock_ms: clock.unwrap_or_default().now_ms,
    };
    let mut rows = Vec::new();
    for table in Table::ALL {
        let scanned = state.scan(table, &[], &[], usize::MAX).expect("a scan");
        for (key, row) in scanned {
            rows.extend(moved(&shift, state, table, key, row));
        }
    }
    // Times that were clamped to the same one are no order any more.
    rows.sort_unstable();
    rows
}

/// One row; none if it is of no consequence any more.
fn moved(shift: &Shift, state: &Memory, table: Table, key: Vec<u8>, row: Vec<u8>) -> Option<Row> {
    let (key, row) = match table {
        Table::Clock => (key, Clock { now_ms: NOW_MS }.encode_to_vec()),
        Table::Links => {
            let link: Link = decoded(&row);
            (key.clone(), moved_link(shift, state, &key, link))
        }
        Table::Candidates => (numbered(&key, |time| shift.hold(time)), row),
        Table::Reclaimable => (numbered(&key, |time| shift.since(time)), row),
        Table::Objects => (key, moved_object(shift, decoded(&row))),
        Table::Committed => {
            let mut committed: Committed = decoded(&row);
            committed.expires_at_ms = shift.hold(committed.expires_at_ms);
            if committed.expires_at_ms <= NOW_MS {
                // An expired row answers as an absent one does.
                return None;
            }
            (key, committed.encode_to_vec())
        }
        Table::Uploads => {
            let upload: Upload = decoded(&row);
            let updated_at_ms = NOW_MS;
            let upload = Upload {
                updated_at_ms,
                ..upload
            };
            (key, upload.encode_to_vec())
        }
        Table::Manifests => {
            let mut manifest: Manifest = decoded(&row);
            // Whether it is held matters; since when, only to policies that are not modelled.
            manifest.unheld_since_ms = manifest.unheld_since_ms.map(|_| NOW_MS);
            (key, manifest.encode_to_vec())
        }
        // As in the row of the manifest.
        Table::Unheld => (numbered(&key, |_since| NOW_MS), row),
        Table::Repositories
        | Table::Tags
        | Table::TaggedBy
        | Table::ManifestIn
        | Table::ManifestBodies
        | Table::Contents
        | Table::Deletions
        | Table::Blobs
        | Table::LinkedIn
        | Table::References
        | Table::Referrers
        | Table::Events
        | Table::Cursors
        | Table::Requests
        | Table::Members
        | Table::Settings => (key, row),
    };
    Some(((table, key), row))
}

fn decoded<R: Message + Default>(row: &[u8]) -> R {
    R::decode(row).expect("a row that decodes")
}

fn numbered(key: &[u8], moved: impl Fn(u64) -> u64) -> Vec<u8> {
    let (time_ms, rest) = keys::split_number(key).expect("a key that begins with a time");
    [&moved(time_ms).to_be_bytes(), rest].concat()
}

fn moved_link(shift: &Shift, state: &Memory, key: &[u8], link: Link) -> Vec<u8> {
    let parts = keys::parts(key);
    let references = keys::references(&parts[0], &parts[1]);
    let is_referenced = state.any(&references).expect("a scan");
    // A reference suspends the hold: when the last one goes a new hold begins, which is no shorter.
    let hold_until_ms = if is_referenced {
        NOW_MS
    } else {
        shift.hold(link.hold_until_ms)
    };
    Link {
        hold_until_ms,
        ..link
    }
    .encode_to_vec()
}

fn moved_object(shift: &Shift, mut object: Object) -> Vec<u8> {
    if let Some(object::State::Reclaimed(reclaimed)) = &mut object.state {
        reclaimed.since_ms = shift.since(reclaimed.since_ms);
    }
    object.encode_to_vec()
}

/// The state with these rows.
pub(super) fn state(rows: &Rows) -> Memory {
    let mut state = Memory::default();
    let rows = rows.iter().cloned();
    state.write(rows.map(|(key, row)| (key, Some(row))).collect());
    state
}
