//! Tables that are sought by the front of their keys: a filter spares reading and hides nothing.

use std::ops::Range;

use roadstead_proto::digest::Algorithm;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use super::super::state::StateStore;
use crate::metadata::keys::Front;
use crate::metadata::transaction::Changes;
use crate::metadata::view::{Memory, Row};
use crate::metadata::{Table, View};

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn of(&mut self, range: Range<usize>) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005) + 1;
        range.start + (self.0 >> 33) as usize % (range.end - range.start)
    }
}

fn sought() -> impl Iterator<Item = (Table, Front)> {
    let tables = Table::ALL.into_iter();
    tables.filter_map(|table| table.sought_by().map(|front| (table, front)))
}

fn digest(number: usize) -> String {
    let digest = Algorithm::Sha256.digest(&number.to_be_bytes());
    digest.to_string()
}

/// What keys of the table begin with: some are the beginnings of others, but for the separator.
fn front_of(front: Front, number: usize) -> Vec<u8> {
    let name = "r".repeat(1 + number % 3);
    let text = match front {
        Front::One => format!("{}\0", digest(number)),
        Front::Two => format!("{name}\0{}\0", digest(number / 3)),
    };
    text.into_bytes()
}

fn scan(view: &dyn View, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Vec<Row> {
    view.scan(table, prefix, from, limit).expect("it is read")
}

#[test]
fn every_scan_finds_what_a_table_without_filters_has() {
    const FRONTS: usize = 300;
    const ROUNDS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let state = StateStore::open(folder.path()).unwrap();
    let applied = state.applied().unwrap();
    let (mut memory, mut chance) = (Memory::default(), Chance(7));
    for round in 0..ROUNDS {
        let mut changes = Changes::new();
        for (table, front) in sought() {
            for _ in 0..100 {
                // Absent ones are among those that are sought below.
                let mut key = front_of(front, chance.of(0..FRONTS / 2));
                key.extend(format!("k{}", chance.of(0..5)).bytes());
                let row = (chance.of(0..3) > 0).then(|| vec![round as u8]);
                changes.insert((table, key), row);
            }
        }
        state.write(changes.clone(), &applied).unwrap();
        memory.write(changes);
        // Rows lie in what is not written out, in fresh files and in merged ones.
        if round % 3 == 0 {
            state.write_out().unwrap();
        }
        if round == ROUNDS / 2 {
            state.with_database(|database| {
                for (table, _) in sought() {
                    let family = database.cf_handle(table.name()).unwrap();
                    database.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
                }
            });
        }
    }
    let check = |view: &dyn View| {
        for (table, front) in sought() {
            let mut found = 0;
            for number in 0..FRONTS {
                let prefix = front_of(front, number);
                let inside = [prefix.as_slice(), b"k2"].concat();
                // A single row that is there, and one that is not.
                for key in [&inside, &prefix] {
                    let expected = memory.get(table, key).unwrap();
                    assert_eq!(view.get(table, key).unwrap(), expected);
                }
                let shorter = &prefix[..prefix.len() - 1];
                let first = &prefix[..prefix.len().min(2)];
                for prefix in [prefix.as_slice(), shorter, first, inside.as_slice()] {
                    for from in [[].as_slice(), inside.as_slice()] {
                        for limit in [1, 3, 10_000] {
                            let rows = scan(view, table, prefix, from, limit);
                            assert_eq!(rows, scan(&memory, table, prefix, from, limit));
                            found += rows.len();
                        }
                    }
                }
            }
            assert!(found > FRONTS, "{table:?} has nothing to be found");
            assert_eq!(
                scan(view, table, &[], &[], usize::MAX),
                scan(&memory, table, &[], &[], usize::MAX)
            );
        }
    };
    state.view(check);
    state.latest(check);
    let before = state.hash().unwrap();
    drop(state);
    assert_eq!(
        StateStore::open(folder.path()).unwrap().hash().unwrap(),
        before
    );
}

#[test]
fn seeking_what_is_not_there_reads_no_rows() {
    const ROWS: usize = 20_000;
    const SOUGHT: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let state = StateStore::open(folder.path()).unwrap();
    let applied = state.applied().unwrap();
    let rows = (0..ROWS).map(|number| {
        let key = [front_of(Front::One, number).as_slice(), b"r"].concat();
        ((Table::LinkedIn, key), Some(Vec::new()))
    });
    state.write(rows.collect(), &applied).unwrap();
    state.write_out().unwrap();
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut context = PerfContext::default();
    let mut rejected = |numbers: Range<usize>| {
        context.reset();
        state.view(|view| {
            for number in numbers {
                let prefix = front_of(Front::One, number);
                scan(view, Table::LinkedIn, &prefix, &[], 1);
            }
        });
        context.metric(PerfMetric::BloomSstMissCount)
    };
    assert_eq!(rejected(0..SOUGHT), 0, "they are there");
    // One in a hundred is taken for one that may be there.
    assert!(rejected(ROWS..ROWS + SOUGHT) > SOUGHT as u64 * 9 / 10);
    set_perf_stats(PerfStatsLevel::Disable);
}
