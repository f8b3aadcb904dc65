//! What an X.509 certificate says, and how one of our own is made. Pure: it reads no clock and no file.
//!
//! A certificate is known by its thumbprint, the SHA-1 of its bytes, because that is what every OPC UA
//! server and tool shows. No chain is followed and no issuer is asked: trust is a person's act, for one
//! certificate ([`super::trust`]).

use std::fmt;

use jiff::Timestamp;
use opcua::crypto::X509;
use riskgate_point::Wall;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::{OsRng, RngCore};
use rsa::sha2::{Digest, Sha256};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::asn1::{Ia5String, ObjectIdentifier, OctetString, SetOfVec, Utf8StringRef};
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{Any, Decode, DecodePem, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

/// What an OPC UA server of today and of ten years ago takes; 3072 would shut out small controllers.
const KEY_BITS: usize = 2048;

/// Many times what one has: longer ones would fill the folder of the refused.
const BYTES_MAX: usize = 16 * 1024;

/// Of a text in a certificate, as it is shown.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// Of a common name, by X.520.
const COMMON_NAME_CHARACTERS_MAX: usize = 64;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Why bytes are no certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("it is no X.509 certificate, neither DER nor PEM ({0})")]
    Undecodable(String),
    #[error("more follows behind it: a chain of certificates, where one is wanted")]
    Chain,
    #[error("it has {0} bytes, which no certificate has")]
    TooLong(usize),
    #[error("its key is no RSA key of at most 4096 bits")]
    NoRsa,
}

/// The SHA-1 of a certificate's bytes, in 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(String);

impl Thumbprint {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One certificate.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    thumbprint: Thumbprint,
    parsed: x509_cert::Certificate,
    key: RsaPublicKey,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {})", self.subject(), self.thumbprint)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Certificate {
    /// From DER, or from the first certificate of a PEM text.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let undecodable = |error: x509_cert::der::Error| CertificateError::Undecodable(error.to_string());
        let text = std::str::from_utf8(bytes).ok().and_then(first_pem);
        let parsed = if let Some(pem) = text {
            x509_cert::Certificate::from_pem(pem).map_err(undecodable)?
        } else {
            let mut reader = SliceReader::new(bytes).map_err(undecodable)?;
            let parsed = x509_cert::Certificate::decode(&mut reader).map_err(undecodable)?;
            if !reader.is_finished() {
                return Err(CertificateError::Chain);
            }
            parsed
        };
        let der = parsed.to_der().map_err(undecodable)?;
        if der.len() > BYTES_MAX {
            return Err(CertificateError::TooLong(der.len()));
        }
        let key = RsaPublicKey::try_from(parsed.tbs_certificate.subject_public_key_info.owned_to_ref())
            .map_err(|_| CertificateError::NoRsa)?;
        let known = X509::from_der(&der).map_err(|error| CertificateError::Undecodable(error.to_string()))?;
        Ok(Self { thumbprint: Thumbprint(known.thumbprint().as_hex_string()), der, parsed, key })
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// For those who do not content themselves with SHA-1.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.der))
    }

    pub fn subject(&self) -> String {
        plain(&self.parsed.tbs_certificate.subject.to_string())
    }

    pub fn issuer(&self) -> String {
        plain(&self.parsed.tbs_certificate.issuer.to_string())
    }

    pub fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate.subject == self.parsed.tbs_certificate.issuer
    }

    pub fn key_bits(&self) -> usize {
        self.key.size() * 8
    }

    pub(super) fn is_of(&self, key: &RsaPrivateKey) -> bool {
        self.key == key.to_public_key()
    }

    /// From when to when it is valid.
    pub fn validity(&self) -> (Wall, Wall) {
        let validity = &self.parsed.tbs_certificate.validity;
        (wall(validity.not_before), wall(validity.not_after))
    }

    /// Of which application it says that it is.
    pub fn application_uri(&self) -> Option<String> {
        self.names().into_iter().find_map(|name| {
            if let GeneralName::UniformResourceIdentifier(uri) = name {
                Some(plain(uri.as_ref()))
            } else {
                None
            }
        })
    }

    /// The hosts that it names: DNS names and addresses.
    pub fn hosts(&self) -> Vec<String> {
        let host = |name: &GeneralName| {
            if let GeneralName::DnsName(host) = name {
                return Some(plain(host.as_ref()));
            }
            if let GeneralName::IpAddress(bytes) = name { address(bytes.as_bytes()) } else { None }
        };
        self.names().iter().filter_map(host).collect()
    }

    fn names(&self) -> Vec<GeneralName> {
        let names = self.parsed.tbs_certificate.get::<SubjectAltName>();
        names.ok().flatten().map(|(_, names)| names.0).unwrap_or_default()
    }

    /// In one line, as a person tells it from others.
    pub fn in_words(&self) -> String {
        format!("{} ({}, valid to {})", self.thumbprint, self.subject(), date(self.validity().1))
    }
}

/// What a stranger has written, fit for a log and a terminal.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter });
    shown.take(SHOWN_CHARACTERS_MAX).collect()
}

/// The first certificate of a text; tools write words before it and further certificates behind.
fn first_pem(text: &str) -> Option<&str> {
    let begin = text.find(PEM_BEGIN)?;
    let rest = text.get(begin..)?;
    let end = rest.find(PEM_END)?;
    rest.get(..end + PEM_END.len())
}

/// The day, in UTC. A certificate's own times are UTC, and a day is near enough to plan by.
pub fn date(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map_or_else(|_| format!("{} ms", at.0), |time| time.strftime("%Y-%m-%d").to_string())
}

fn wall(time: Time) -> Wall {
    Wall(i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX))
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What our own certificate is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) common_name: String,
    pub(super) organization: String,
    pub(super) uri: String,
    /// The names under which this host is known.
    pub(super) hosts: Vec<String>,
    pub(super) begin: Wall,
    pub(super) end: Wall,
}

/// A key and a certificate for it, signed with it.
pub(super) struct Made {
    /// DER.
    pub(super) certificate: Vec<u8>,
    /// PKCS #8 in PEM.
    pub(super) key: String,
}

/// Seconds of work on a slow gateway: never on a thread that others wait for.
pub(super) fn make(wish: &Wish) -> Result<Made, Box<dyn std::error::Error + Send + Sync>> {
    let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS)?;
    let certificate = certificate_of(&key, wish)?;
    Ok(Made { certificate, key: key.to_pkcs8_pem(LineEnding::LF)?.to_string() })
}

/// As Part 6 of the standard wants it, 6.2.2.
fn certificate_of(
    key: &RsaPrivateKey,
    wish: &Wish,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let spki = SubjectPublicKeyInfoOwned::from_der(key.to_public_key().to_public_key_der()?.as_bytes())?;
    let subject = name(&wish.common_name, &wish.organization)?;
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    let serial = SerialNumber::new(&serial)?;
    let validity = Validity { not_before: time(wish.begin)?, not_after: time(wish.end)? };
    let signer = SigningKey::<rsa::sha2::Sha256>::new(key.clone());
    let key_id = SubjectKeyIdentifier::try_from(spki.owned_to_ref())?;
    let issuer = Profile::Manual { issuer: None };
    let mut builder =
        CertificateBuilder::new(issuer, serial.clone(), validity, subject.clone(), spki, &signer)?;
    builder.add_extension(&key_id)?;
    builder.add_extension(&AuthorityKeyIdentifier {
        key_identifier: Some(key_id.0),
        authority_cert_issuer: Some(vec![GeneralName::DirectoryName(subject)]),
        authority_cert_serial_number: Some(serial),
    })?;
    builder.add_extension(&BasicConstraints { ca: false, path_len_constraint: None })?;
    builder.add_extension(&KeyUsage(
        KeyUsages::DigitalSignature
            | KeyUsages::NonRepudiation
            | KeyUsages::KeyEncipherment
            | KeyUsages::DataEncipherment
            | KeyUsages::KeyCertSign,
    ))?;
    builder.add_extension(&ExtendedKeyUsage(vec![CLIENT_AUTH, SERVER_AUTH]))?;
    builder.add_extension(&alternative_names(wish)?)?;
    Ok(builder.build::<rsa::pkcs1v15::Signature>()?.to_der()?)
}

/// The URI comes first: that is where some servers look for it.
fn alternative_names(wish: &Wish) -> Result<SubjectAltName, x509_cert::der::Error> {
    let mut names = vec![GeneralName::UniformResourceIdentifier(Ia5String::new(&wish.uri)?)];
    for host in &wish.hosts {
        names.push(match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
            Ok(std::net::IpAddr::V6(address)) => GeneralName::IpAddress(OctetString::new(address.octets())?),
            Err(_) => GeneralName::DnsName(Ia5String::new(host)?),
        });
    }
    Ok(SubjectAltName(names))
}

fn name(common: &str, organization: &str) -> Result<Name, x509_cert::der::Error> {
    let common: String = common.chars().take(COMMON_NAME_CHARACTERS_MAX).collect();
    let part = |oid, text: &str| {
        let value = Any::encode_from(&Utf8StringRef::new(text)?)?;
        let part = AttributeTypeAndValue { oid, value };
        Ok::<_, x509_cert::der::Error>(RelativeDistinguishedName(SetOfVec::try_from(vec![part])?))
    };
    Ok(RdnSequence(vec![part(ORGANIZATION, organization)?, part(COMMON_NAME, &common)?]))
}

fn time(at: Wall) -> Result<Time, x509_cert::der::Error> {
    let since = std::time::Duration::from_secs(u64::try_from(at.0 / 1000).unwrap_or(0));
    // By RFC 5280 dates up to 2049 are UTC times, later ones general times.
    x509_cert::der::asn1::UtcTime::from_unix_duration(since)
        .map(Time::from)
        .or_else(|_| x509_cert::der::asn1::GeneralizedTime::from_unix_duration(since).map(Time::from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish() -> Wish {
        Wish {
            common_name: "罐区\u{1b}[31m, O=\"quoted\"".to_owned(),
            organization: "540170007".to_owned(),
            uri: "urn:riskgate:a:b".to_owned(),
            hosts: vec!["gateway".to_owned(), "10.0.0.7".to_owned(), "fe80::1".to_owned()],
            begin: Wall(1_795_000_000_000),
            end: Wall(2_600_000_000_000),
        }
    }

    #[test]
    fn what_was_wished_for_is_what_it_says_and_nothing_moves_a_terminal() {
        let made = make(&wish()).unwrap();
        let certificate = Certificate::parse(&made.certificate).unwrap();
        assert!(certificate.subject().contains("罐区") && !certificate.subject().contains('\u{1b}'));
        assert_eq!(certificate.hosts(), ["gateway", "10.0.0.7", "fe80::1"]);
        // After 2049 dates are written in another way.
        assert_eq!(certificate.validity(), (Wall(1_795_000_000_000), Wall(2_600_000_000_000)));
        assert_eq!(certificate.thumbprint().as_str().len(), 40);
        assert!(!format!("{certificate:?}").contains('\u{1b}'));
    }

    #[test]
    fn a_chain_and_what_is_none_are_told() {
        let one = make(&wish()).unwrap().certificate;
        assert_eq!(Certificate::parse(&[one.clone(), one].concat()), Err(CertificateError::Chain));
        assert!(matches!(Certificate::parse(b""), Err(CertificateError::Undecodable(_))));
        let empty = format!("{PEM_BEGIN}\n{PEM_END}");
        assert!(matches!(Certificate::parse(empty.as_bytes()), Err(CertificateError::Undecodable(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut: prop::sample::Index) {
            static MADE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = MADE.get_or_init(|| make(&wish()).unwrap().certificate).clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                if let Ok(certificate) = Certificate::parse(bytes) {
                    let _shown = (certificate.in_words(), certificate.hosts(), certificate.application_uri());
                    let _judged = (certificate.key_bits(), certificate.issuer(), certificate.sha256());
                }
            }
        }
    }
}
