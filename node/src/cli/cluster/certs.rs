//! `roadstead cluster certs`: a CA, and certificates of it for nodes and operators.
//!
//! The CA is made once, in the folder that is named, and used again. Its key is all that is needed
//! to take part in the cluster, and belongs where the backups are, not on the nodes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use uuid::Uuid;

use super::super::remote::{Failure, print};
use crate::limits::{CA_DAYS, CERTIFICATE_DAYS};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder to write to; the CA in it is used again.
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    folder: PathBuf,
    /// For how many days the certificates of nodes and operators are valid.
    #[arg(
        long,
        default_value_t = CERTIFICATE_DAYS,
        value_parser = clap::value_parser!(u32).range(1..=CA_DAYS as i64)
    )]
    days: u32,
    /// Hosts of nodes, as in their `cluster.advertise`: a name or an IP address, or several of one
    /// node with commas between. `operator` makes one for `roadstead cluster` alone.
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    make(arguments).map_err(|error| Failure::here(error.to_string()))?;
    Ok(())
}

fn make(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let folder = &arguments.folder;
    let named = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(named)?;
    let issuer = authority(folder)?;
    for hosts in &arguments.hosts {
        let names: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        let Some(name) = names.first().filter(|name| is_plain(name)) else {
            return Err(format!("{hosts:?} is no name of a host").into());
        };
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if name != "operator" {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        valid_for(&mut params, arguments.days);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        save(&files(folder, name), &certificate, &key)?;
    }
    Ok(())
}

/// A name that stays within its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key")),
    )
}

/// A day back, so that skewed clocks do no harm.
fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}

/// The CA of the folder, which is made if there is none.
fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, Box<dyn std::error::Error>> {
    let files = files(folder, "ca");
    let (path, key_path) = &files;
    match (fs::read_to_string(path), fs::read_to_string(key_path)) {
        (Ok(certificate), Ok(key)) => {
            let key = KeyPair::from_pem(&key)
                .map_err(|error| format!("{}: {error}", key_path.display()))?;
            let issuer = Issuer::from_ca_cert_pem(&certificate, key)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            return Ok(issuer);
        }
        (Err(one), Err(other))
            if one.kind() == io::ErrorKind::NotFound && other.kind() == io::ErrorKind::NotFound => {
        }
        (Err(error), _) => return Err(format!("{}: {error}", path.display()).into()),
        (_, Err(error)) => return Err(format!("{}: {error}", key_path.display()).into()),
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Roadstead cluster CA {}", Uuid::new_v4()),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    save(&files, &certificate, &key)?;
    Ok(Issuer::new(params, key))
}

/// Keeps a certificate and its key in these files, and says so.
fn save(
    (path, key_path): &(PathBuf, PathBuf),
    certificate: &Certificate,
    key: &KeyPair,
) -> Result<(), Box<dyn std::error::Error>> {
    write(key_path, &key.serialize_pem(), 0o600)?;
    write(path, &certificate.pem(), 0o644)?;
    let saved = print(&format!("{} and {}", path.display(), key_path.display()));
    saved.map_err(|_| "the output was closed")?;
    Ok(())
}

/// Puts a file in its place as a whole: a node may be reading the former one.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Box<dyn std::error::Error>> {
    let partial = path.with_extension("partial");
    let named = |error: io::Error| format!("{}: {error}", path.display());
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error).into()),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .map_err(named)?;
    file.write_all(text.as_bytes()).map_err(named)?;
    file.sync_all().map_err(named)?;
    fs::rename(&partial, path).map_err(named)?;
    Ok(())
}
