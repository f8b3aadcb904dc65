//! Certificates for servers and users, with the times and names that a test wants.

use std::time::Duration;

use riskgate_point::Wall;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey};
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::{OsRng, RngCore};
use rsa::sha2::Sha256;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::asn1::{Ia5String, UtcTime};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

use super::plant::START;

pub(crate) const PLANT_URI: &str = "urn:plant";

/// A certificate in DER and its key in PEM.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: String,
}

/// Valid from so many days after the tests' clock begins to so many.
pub(crate) fn made(common_name: &str, uri: &str, days: std::ops::Range<i64>) -> Certified {
    let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
    let spki = key.to_public_key().to_public_key_der().expect("DER");
    let spki = SubjectPublicKeyInfoOwned::from_der(spki.as_bytes()).expect("a public key");
    let mut serial = [0; 8];
    OsRng.fill_bytes(&mut serial);
    let at = |day: i64| {
        let Wall(millis) = START.wall;
        let seconds = u64::try_from(millis / 1000 + day * 86_400).expect("after 1970");
        UtcTime::from_unix_duration(Duration::from_secs(seconds)).expect("before 2050").into()
    };
    let validity = Validity { not_before: at(days.start), not_after: at(days.end) };
    let signer = SigningKey::<Sha256>::new(key.clone());
    let mut builder = CertificateBuilder::new(
        Profile::Manual { issuer: None },
        SerialNumber::new(&serial).expect("a number"),
        validity,
        format!("CN={common_name}").parse().expect("a name"),
        spki,
        &signer,
    )
    .expect("a builder");
    let uri = GeneralName::UniformResourceIdentifier(Ia5String::new(uri).expect("ASCII"));
    let host = GeneralName::DnsName(Ia5String::new("elsewhere").expect("ASCII"));
    builder.add_extension(&SubjectAltName(vec![uri, host])).expect("names");
    let certificate = builder.build::<Signature>().expect("signed").to_der().expect("DER");
    Certified { certificate, key: key.to_pkcs8_pem(LineEnding::LF).expect("PEM").to_string() }
}

/// A server's that nobody objects to.
pub(crate) fn good() -> Certified {
    made("Plant", PLANT_URI, -10..365)
}
