//! `tls = { … }`: how a broker is spoken to under TLS. The files themselves are read when the agent starts.

use std::path::PathBuf;

use riskgate_drivers::tls::{Own, Settings, is_server_name};

use super::fields::Fields;

/// The table `tls` of a broker; `None` where there is none, or where it is wrong: that was reported.
pub(super) fn settings(fields: &mut Fields<'_>) -> Option<Settings> {
    let mut tls = fields.table("tls")?;
    let ca_file = tls.required_text("ca_file");
    let certificate = tls.text("certificate_file");
    let key = tls.text("key_file");
    if certificate.is_some() && !tls.has("key_file") {
        tls.error("certificate_file", "a certificate of our own needs 'key_file', its private key", None);
    }
    if key.is_some() && !tls.has("certificate_file") {
        tls.error("key_file", "there is a key and no 'certificate_file'", None);
    }
    let server_name = tls.text("server_name");
    if let Some(name) = &server_name
        && !is_server_name(&name.value)
    {
        let hint = "write the name or the address that the broker's certificate has: mq1.plant".to_owned();
        tls.error("server_name", format!("'{}' cannot be the name in a certificate", name.value), hint);
    }
    tls.finish();
    let own = certificate.zip(key).map(|(certificate, key)| Own {
        certificate_file: PathBuf::from(certificate.value),
        key_file: PathBuf::from(key.value),
    });
    let server_name = server_name.map(|name| name.value);
    Some(Settings { ca_file: PathBuf::from(ca_file?.value), own, server_name, digest: 0 })
}
