//! The end of a run, when everything is healed: histories are judged, everything acknowledged is
//! there through every node, all nodes say the same, and deleting everything leaves nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use roadstead_tests::asked::{Asked, ask};
use roadstead_tests::{Answer, fixture, wait};

use super::caller::{Caller, Common, Wrong};
use super::mover::Series;
use super::owner::Owner;
use super::register::{Call, Verdict};
use super::stage::{PADDING, Stage};

/// The exit code that says that there is no such repository.
const NOT_THERE: i32 = 5;
/// Clients of the end, apart from those of the run.
const LOOKING: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) tags: usize,
    /// Writes whose outcome was never known.
    pub(super) open: usize,
    pub(super) searched: Duration,
    pub(super) manifests: usize,
    pub(super) emptied: Duration,
}

/// Looks at everything.
pub(super) fn check(
    stage: &Stage<'_>,
    common: &Common,
    series: &[Series],
    owners: &[Owner<'_>],
) -> Result<Judged, Wrong> {
    let mut judged = Judged::default();
    for series in series {
        judge(common, series, &mut judged)?;
    }
    for owner in owners {
        for node in 0..stage.nodes() {
            has_all(common, owner, node)?;
        }
        judged.manifests += owner.images.len();
    }
    let names = series.iter().map(|series| series.repository.clone());
    let names: Vec<_> = names
        .chain(owners.iter().map(|owner| owner.repository.clone()))
        .collect();
    all_say_the_same(common, &names)?;
    let began = Instant::now();
    empty(stage, &names)?;
    judged.emptied = began.elapsed();
    let one = stage.group.have_one_state(stage.quiet);
    one.map_err(Wrong)?;
    Ok(judged)
}

/// Reads each tag through each node, and judges its history with that.
fn judge(common: &Common, series: &Series, judged: &mut Judged) -> Result<(), Wrong> {
    let caller = Caller::new(common, 0);
    for history in series.histories() {
        for node in 0..common.clients.len() {
            let read = wait::poll(wait::LONG, || {
                let read = series.call(&caller, &history, LOOKING + node, node, Call::Get);
                read.map(|is_answered| is_answered.then_some(()))
                    .transpose()
            });
            read.unwrap_or_else(|| Err(Wrong(format!("node {node} does not answer"))))?;
        }
        let began = Instant::now();
        let verdict = history.judge();
        judged.searched += began.elapsed();
        judged.tags += 1;
        judged.open += history.size().1;
        if verdict != Verdict::Linearizable {
            let history = history.text(common.journal.began());
            let complaint = format!("{verdict:?}: {history}");
            return Err(common.wrong(&series.repository, &complaint));
        }
    }
    Ok(())
}

fn get(common: &Common, node: usize, repository: &str, path: &str) -> Result<Answer, Wrong> {
    let caller = Caller::new(common, 0);
    let answer = wait::poll(wait::LONG, || {
        caller.once(node, repository, |client| {
            let request = client.repository(repository).request("GET", path);
            (format!("GET {path}"), request)
        })
    });
    answer.ok_or_else(|| Wrong(format!("node {node} does not answer")))
}

/// Everything that was acknowledged to its owner is there, byte by byte, through this node.
fn has_all(common: &Common, owner: &Owner<'_>, node: usize) -> Result<(), Wrong> {
    let repository = &owner.repository;
    let has = |path: String, content: &[u8]| {
        let answer = get(common, node, repository, &path)?;
        if answer.status == 200 && answer.body == content {
            return Ok(());
        }
        let complaint = format!("{path} through node {node} is not as acknowledged: {answer}");
        Err(common.wrong(repository, &complaint))
    };
    for image in &owner.images {
        let manifest = image.document.bytes();
        has(format!("manifests/{}", image.digest), &manifest)?;
        if let Some(tag) = &image.tag {
            has(format!("manifests/{tag}"), &manifest)?;
        }
        for content in &image.blobs {
            has(format!("blobs/{}", fixture::digest(content)), content)?;
        }
    }
    for digest in &owner.gone {
        let answer = get(common, node, repository, &format!("manifests/{digest}"))?;
        if answer.status != 404 {
            let complaint = format!("{digest} was deleted, and is there: {answer}");
            return Err(common.wrong(repository, &complaint));
        }
    }
    Ok(())
}

/// Lists, and what they lead to, are the same through all nodes.
fn all_say_the_same(common: &Common, names: &[String]) -> Result<(), Wrong> {
    for name in names {
        let lists = (0..common.clients.len()).map(|node| list(common, node, name));
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        if lists.windows(2).any(|two| two[0] != two[1]) {
            let complaint = format!("the tags of {name} differ between nodes: {lists:?}");
            return Err(common.wrong(name, &complaint));
        }
        for tag in lists.first().into_iter().flatten() {
            same_manifest(common, name, tag)?;
        }
    }
    let catalogs = common.clients.iter().map(|client| {
        let catalog = client.get("/v2/_catalog?n=1000").expect(200).json();
        catalog["repositories"].clone()
    });
    let catalogs: Vec<_> = catalogs.collect();
    let listed = catalogs.first().and_then(|catalog| catalog.as_array());
    let listed = listed.into_iter().flatten();
    let listed = listed.filter_map(|name| name.as_str());
    let listed: BTreeSet<_> = listed.filter(|name| *name != PADDING).collect();
    let expected: BTreeSet<_> = names.iter().map(String::as_str).collect();
    if catalogs.windows(2).any(|two| two[0] != two[1]) || listed != expected {
        let complaint = format!("the catalogs are {catalogs:?}, and not of {names:?}");
        return Err(Wrong(complaint));
    }
    Ok(())
}

fn list(common: &Common, node: usize, name: &str) -> Result<Vec<String>, Wrong> {
    let mut tags = Vec::new();
    let mut path = "tags/list?n=1000".to_owned();
    loop {
        let answer = get(common, node, name, &path)?;
        if answer.status != 200 {
            return Err(common.wrong(name, &format!("no tags: {answer}")));
        }
        let page = answer.json();
        let page = page["tags"].as_array().into_iter().flatten();
        tags.extend(page.filter_map(|tag| tag.as_str()).map(str::to_owned));
        match answer.next_page() {
            None => return Ok(tags),
            Some(next) => {
                let prefix = format!("/v2/{name}/");
                let rest = next.strip_prefix(&prefix);
                path = rest.expect("the next page is of the same list").to_owned();
            }
        }
    }
}

/// The manifest of a tag, and its blobs.
fn same_manifest(common: &Common, name: &str, tag: &str) -> Result<(), Wrong> {
    let path = format!("manifests/{tag}");
    let mut first: Option<Answer> = None;
    for node in 0..common.clients.len() {
        let answer = get(common, node, name, &path)?;
        let is_same = first.as_ref().is_none_or(|first| first.body == answer.body);
        if answer.status != 200 || !is_same {
            let complaint = format!("{tag} through node {node} is another: {answer}");
            return Err(common.wrong(name, &complaint));
        }
        first.get_or_insert(answer);
    }
    let manifest = first.map(|answer| answer.json()).unwrap_or_default();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for blob in layers.chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().unwrap_or_default();
        let answer = get(common, 0, name, &format!("blobs/{digest}"))?;
        if answer.status != 200 || fixture::digest(&answer.body).as_str() != digest {
            let complaint = format!("{tag} is without its blob {digest}: {answer}");
            return Err(common.wrong(name, &complaint));
        }
    }
    Ok(())
}

/// Deletes everything, and waits until the shared folder is empty.
fn empty(stage: &Stage<'_>, names: &[String]) -> Result<(), Wrong> {
    let objects = || stage.group.objects();
    if objects().finished == 0 {
        return Err(Wrong("there are no objects to delete".to_owned()));
    }
    let node = &stage.group.nodes[0];
    let padding = (stage.padding > 0).then_some(PADDING);
    for name in names.iter().map(String::as_str).chain(padding) {
        let Asked { code, error, .. } = ask(node, &["repository", "delete", name, "--yes"]);
        // None of what was to take room may have been taken.
        let is_gone = name == PADDING && code == Some(NOT_THERE);
        if !(is_gone || code == Some(0)) {
            return Err(Wrong(format!("{name} cannot be deleted: {error}")));
        }
    }
    let is_empty = || (objects().finished + objects().partial == 0).then_some(());
    if wait::poll(stage.quiet, is_empty).is_none() {
        let complaint = format!(
            "after {:?} there are {:?} that nothing needs",
            stage.quiet,
            objects()
        );
        return Err(Wrong(complaint));
    }
    Ok(())
}
