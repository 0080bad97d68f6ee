//! Tables that are sought by the front of their keys: a filter spares reading and hides nothing.

use proptest::collection::vec;
use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, any, prop_assert_eq, prop_oneof, proptest,
};
use proptest::strategy::Just;
use proptest::test_runner::FileFailurePersistence;
use roadstead_proto::digest::Algorithm;
use rocksdb::perf::PerfMetric;
use rocksdb::{ColumnFamilyDescriptor, DB};

use super::super::options;
use super::super::state::StateStore;
use super::{counted, opened};
use crate::metadata::keys::Front;
use crate::metadata::transaction::Changes;
use crate::metadata::view::{Memory, Row};
use crate::metadata::{Table, View};

/// Fronts that are sought: rows have only those of the lower half.
const FRONTS: usize = 60;

/// What a row has in every one of these tables: the number of its front, what comes behind that,
/// and its value, or none if it is removed.
type Change = (usize, u8, Option<u8>);

/// What the store goes through: rows lie in what is not written out, in fresh files, in merged
/// ones.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>),
    WriteOut,
    Merge,
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::option::weighted(0.7, any::<u8>());
    let change = (0..FRONTS / 2, 0..5_u8, value);
    prop_oneof![
        4 => vec(change, 1..100).prop_map(Step::Write),
        2 => Just(Step::WriteOut),
        1 => Just(Step::Merge),
    ]
}

fn sought() -> impl Iterator<Item = (Table, Front)> {
    let tables = Table::ALL.into_iter();
    tables.filter_map(|table| table.sought_by().map(|front| (table, front)))
}

/// What keys begin with: some are the beginnings of others, but for the separator.
fn front_of(front: Front, number: usize) -> Vec<u8> {
    let digest = |number: usize| Algorithm::Sha256.digest(&number.to_be_bytes());
    let text = match front {
        Front::One => format!("{}\0", digest(number)),
        Front::Two => format!("{}\0{}\0", "r".repeat(1 + number % 3), digest(number / 3)),
    };
    text.into_bytes()
}

fn key(front: Front, number: usize, behind: u8) -> Vec<u8> {
    [front_of(front, number).as_slice(), &[b'k', behind]].concat()
}

fn changes(of: &[Change]) -> Changes {
    let rows = of.iter().flat_map(|(number, behind, value)| {
        let row = value.map(|value| vec![value]);
        sought().map(move |(table, front)| ((table, key(front, *number, *behind)), row.clone()))
    });
    rows.collect()
}

fn merge(state: &StateStore) {
    state.with_database(|database| {
        for (table, _) in sought() {
            let family = database.cf_handle(table.name()).expect("the table");
            database.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
    });
}

fn scan(view: &dyn View, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Vec<Row> {
    view.scan(table, prefix, from, limit).expect("it is read")
}

/// Has both views give the same rows, whatever they are asked for.
fn check(view: &dyn View, expected: &Memory) -> Result<(), TestCaseError> {
    for (table, front) in sought() {
        for number in 0..FRONTS {
            let prefix = front_of(front, number);
            let inside = key(front, number, 2);
            for key in [&inside, &prefix] {
                let row = view.get(table, key).expect("it is read");
                prop_assert_eq!(row, expected.get(table, key).expect("it is read"));
            }
            let shorter = &prefix[..prefix.len() - 1];
            let first = &prefix[..2];
            for prefix in [prefix.as_slice(), shorter, first, inside.as_slice(), &[]] {
                for from in [[].as_slice(), inside.as_slice()] {
                    for limit in [1, 3, usize::MAX] {
                        let rows = scan(view, table, prefix, from, limit);
                        let expected = scan(expected, table, prefix, from, limit);
                        prop_assert_eq!(rows, expected, "{:?} {:?}", table, prefix);
                    }
                }
            }
        }
    }
    Ok(())
}

fn configuration() -> ProptestConfig {
    let seeds = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/store/tests/filters.proptest-regressions"
    );
    ProptestConfig {
        // Each opens all tables.
        cases: 16,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn every_scan_finds_what_a_table_without_filters_has(steps in vec(step(), 1..20)) {
        let (folder, state, applied) = opened();
        let mut memory = Memory::default();
        for step in steps {
            match step {
                Step::Write(rows) => {
                    state.write(changes(&rows), &applied).unwrap();
                    memory.write(changes(&rows));
                }
                Step::WriteOut => state.write_out().unwrap(),
                Step::Merge => merge(&state),
            }
        }
        state.view(|view| check(view, &memory))?;
        state.latest(|view| check(view, &memory))?;
        let before = state.hash().unwrap();
        drop(state);
        let reopened = StateStore::open(folder.path()).unwrap();
        prop_assert_eq!(reopened.hash().unwrap(), before);
        reopened.view(|view| check(view, &memory))?;
    }
}

#[test]
fn seeking_what_is_not_there_reads_no_rows() {
    const FRONTS: usize = 20_000;
    const SOUGHT: usize = 1_000;
    const BEHIND: u8 = 3;
    let (_folder, state, applied) = opened();
    // Filters of many parts, and fronts whose rows lie on both sides of where a part ends.
    for behind in 0..BEHIND {
        let rows = (0..FRONTS).map(|number| {
            let key = key(Front::One, number, behind);
            ((Table::LinkedIn, key), Some(Vec::new()))
        });
        state.write(rows.collect(), &applied).unwrap();
    }
    merge(&state);
    let rejected = |first: usize, rows: u8| {
        counted(PerfMetric::BloomSstMissCount, || {
            state.view(|view| {
                for number in first..first + SOUGHT {
                    let prefix = front_of(Front::One, number);
                    let found = scan(view, Table::LinkedIn, &prefix, &[], usize::MAX);
                    assert_eq!(found.len(), usize::from(rows));
                }
            });
        })
    };
    assert_eq!(rejected(0, BEHIND), 0, "they are there");
    // One in a hundred is taken for one that may be there.
    assert!(rejected(FRONTS, 0) > SOUGHT as u64 * 9 / 10);
}

/// What an upgraded node finds: files whose filters are of whole keys.
#[test]
fn files_of_before_there_were_filters_of_fronts_are_read_whole() {
    let (folder, state, applied) = opened();
    let rows: Vec<Change> = (0..FRONTS / 2).map(|number| (number, 2, Some(1))).collect();
    let mut memory = Memory::default();
    memory.write(changes(&rows));
    drop(state);
    let cache = options::state_cache();
    let names = Table::ALL.map(Table::name).into_iter();
    let tables = names
        .chain(["raft", options::UNUSED])
        .map(|name| ColumnFamilyDescriptor::new(name, options::state_table(&cache, None)));
    let settings = options::state_database(&options::state_unwritten());
    let database = DB::open_cf_descriptors(&settings, folder.path().join("1"), tables).unwrap();
    for ((table, key), row) in changes(&rows) {
        let family = database.cf_handle(table.name()).unwrap();
        database.put_cf(family, key, row.unwrap()).unwrap();
    }
    for (table, _) in sought() {
        let family = database.cf_handle(table.name()).unwrap();
        database.flush_cf(family).unwrap();
    }
    drop(database);
    let state = StateStore::open(folder.path()).unwrap();
    state.view(|view| check(view, &memory)).unwrap();
    // Beside files that have them.
    let more: Vec<Change> = (0..FRONTS / 2).map(|number| (number, 3, Some(2))).collect();
    state.write(changes(&more), &applied).unwrap();
    memory.write(changes(&more));
    state.write_out().unwrap();
    state.view(|view| check(view, &memory)).unwrap();
    merge(&state);
    state.view(|view| check(view, &memory)).unwrap();
}
