//! Secured channels: who trusts whom, what is told where someone does not, and that data flow again after a
//! person has acted, after certificates have changed, and after the link was cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::types::MessageSecurityMode as WireMode;
use riskgate_drivers::opcua::{
    Applicant, Certificate, Channel, Mode, Password, Pki, Policy, Security, Server, Standing, TrustError,
    User, UserCertificate, UserError,
};
use riskgate_point::{BadReason, Quality, Wall};

use crate::certs::{Certified, PLANT_URI, good, made};
use crate::plant::{BEARER, Driver, Offer, PASSWORD, Proxy, START, TestServer, USER, config, ours, within};

const LEVEL: u32 = 0;

/// Of the driver's sessions.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// A certificate folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("riskgate-pki-{}-{test}", std::process::id()));
        let _left_from_before = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn pki(&self) -> Pki {
        Pki::new(&self.0)
    }

    fn secured(&self, url: String) -> Server {
        let security = Security {
            channel: Channel::default(),
            trust_first: false,
            pki: self.0.clone(),
            applicant: Applicant { company: "540170007".to_owned(), gateway: "54017000701".to_owned() },
            source: "sis".to_owned(),
        };
        Server { security, ..config(url, &[&ours("Tank.Level")]) }
    }

    /// Any certificate is fine, and is so from the first.
    fn trusting(&self, url: String) -> Server {
        let mut server = self.secured(url);
        server.security.trust_first = true;
        server
    }

    fn own(&self) -> Certificate {
        self.pki().own().expect("it can be read").expect("it was made").current.certificate
    }

    fn user(&self, certified: &Certified) -> Result<UserCertificate, UserError> {
        self.put("user", certified);
        let mut user = UserCertificate::new("user/cert.der", "user/key.pem");
        user.read(&self.0).map(|()| user)
    }

    fn put(&self, folder: &str, certified: &Certified) {
        let folder = self.0.join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("key.pem"), &certified.key).expect("a file");
        std::fs::write(folder.join("cert.der"), &certified.certificate).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn thumbprint(certified: &Certified) -> String {
    Certificate::parse(&certified.certificate).expect("a certificate").thumbprint().to_string()
}

fn now() -> Wall {
    START.wall
}

async fn server(offer: Offer) -> TestServer {
    let server = TestServer::start(0, offer).await;
    server.add("Tank.Level", 40.0);
    server
}

fn password(word: &str) -> User {
    User::Password { name: USER.to_owned(), password: Password::new(word) }
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_every_policy_and_mode_works_with_every_kind_of_user() {
    let folder = Folder::new("every");
    let bearer = made("王敏", "urn:person", -1..10);
    let policies = [
        (Policy::Basic256Sha256, SecurityPolicy::Basic256Sha256),
        (Policy::Aes128Sha256RsaOaep, SecurityPolicy::Aes128Sha256RsaOaep),
        (Policy::Aes256Sha256RsaPss, SecurityPolicy::Aes256Sha256RsaPss),
    ];
    let modes = [(Mode::Sign, WireMode::Sign), (Mode::SignAndEncrypt, WireMode::SignAndEncrypt)];
    let every = policies.iter().flat_map(|policy| modes.iter().map(move |mode| (*policy, *mode)));
    let offer = Offer {
        endpoints: every.clone().map(|((_, policy), (_, mode))| (policy, mode)).collect(),
        users: vec!["ANONYMOUS", USER, BEARER],
        user_certificate: bearer.certificate.clone(),
        ..Offer::secured(&good())
    };
    let server = server(offer).await;
    let bearer = folder.user(&bearer).expect("a user");
    for ((policy, _), (mode, _)) in every {
        for user in [User::Anonymous, password(PASSWORD), User::Certificate(bearer.clone())] {
            let mut config = folder.trusting(server.url());
            config.security.channel = Channel::Secured { policy: Some(policy), mode };
            config.user = user;
            let shown = format!("{:?}", config.user);
            assert!(!shown.contains(PASSWORD) && !shown.contains("PRIVATE"), "{shown}");
            let mut driver = Driver::start(config);
            driver.until_number(LEVEL, 40.0).await;
            driver.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_server_is_not_trusted_until_a_person_says_so_and_then_without_a_restart() {
    let folder = Folder::new("trust");
    let certified = good();
    let thumbprint = thumbprint(&certified);
    let server = server(Offer::secured(&certified)).await;
    let mut driver = Driver::start(folder.secured(server.url()));
    let why = driver.until_down().await;
    assert_eq!(
        why,
        format!(
            "尚未信任服务器证书，请先核对指纹 / riskgate does not trust the certificate of the server at {} yet: \
             {thumbprint} (CN=Plant, valid to \
             2027-03-01); compare its thumbprint with the one that the server shows, then: riskgate opcua trust \
             {thumbprint} --pki '{}'",
            server.url(),
            folder.0.display()
        )
    );
    assert_eq!(driver.last(LEVEL).quality, Quality::Bad(BadReason::CommFailure));
    assert_eq!(server.n_sessions(), 0);
    let known = folder.pki().find(thumbprint.get(..8).expect("digits")).expect("it was kept");
    assert_eq!(known.standing, Standing::Refused);
    assert_eq!(known.notes.source.as_deref(), Some("sis"));
    assert_eq!(known.notes.url, Some(server.url()));
    assert_eq!(known.notes.why, Some(why));

    driver.forget();
    folder.pki().trust(&thumbprint.to_uppercase(), false, now()).expect("it is trusted");
    driver.until_number(LEVEL, 40.0).await;

    // The session that rests on it ends with the trust.
    folder.pki().distrust(&thumbprint, now()).expect("it is distrusted");
    driver.forget();
    let why = driver.until_down().await;
    assert!(why.contains("was told to distrust"), "{why}");
    within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;
    folder.pki().trust(&thumbprint, false, now()).expect("it is trusted again");
    driver.until_number(LEVEL, 40.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_renewed_certificate_of_the_server_is_told_as_a_change_and_comes_back() {
    let folder = Folder::new("change");
    let (first, second) = (good(), good());
    let mut server = server(Offer::secured(&first)).await;
    let port = server.port;
    let mut driver = Driver::start(folder.trusting(server.url()));
    driver.until_number(LEVEL, 40.0).await;

    server.kill();
    driver.until_down().await;
    driver.forget();
    server = TestServer::start(port, Offer::secured(&second)).await;
    server.add("Tank.Level", 41.0);
    let changed = |report: &riskgate_point::Report| {
        matches!(report, riskgate_point::Report::Link { link: riskgate_point::Link::Down { why }, .. }
            if why.contains("has changed")
                && why.contains(&format!("it was {}", thumbprint(&first)))
                && why.contains(&format!("and is {}", thumbprint(&second)))
                && why.contains(&format!("riskgate opcua trust {}", thumbprint(&second))))
    };
    driver.until("the change, even where the first was trusted at sight", changed).await;
    folder.pki().trust(&thumbprint(&second), false, now()).expect("it is trusted");
    driver.until_number(LEVEL, 41.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_certificate_with_a_fault_has_words_of_its_own_and_can_be_taken_as_it_is() {
    for (name, certified, words, is_of_time) in [
        (
            "over",
            made("Plant", PLANT_URI, -400..-35),
            "has ended on 2026-01-25; renew it at the server",
            true,
        ),
        (
            "early",
            made("Plant", PLANT_URI, 10..365),
            "is valid from 2026-03-11 only, and the gateway's clock says 2026-03-01; see that both clocks are right",
            true,
        ),
        (
            "other",
            made("Plant", "urn:another", -10..365),
            "is of another application (urn:another) than the server says to be (urn:plant)",
            false,
        ),
    ] {
        let folder = Folder::new(name);
        let server = server(Offer::secured(&certified)).await;
        let thumbprint = thumbprint(&certified);
        // Not even at first sight.
        let mut driver = Driver::start(folder.trusting(server.url()));
        let why = driver.until_down().await;
        assert!(why.contains(words) && why.ends_with("--as-it-is"), "{why}");
        let trusted = folder.pki().trust(&thumbprint, false, now());
        assert_eq!(matches!(trusted, Err(TrustError::Faulty { .. })), is_of_time, "{name}");
        folder.pki().trust(&thumbprint, true, now()).expect("it is trusted as it is");
        driver.until_number(LEVEL, 40.0).await;
        driver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_server_that_does_not_trust_us_is_told_with_what_to_do_there() {
    let folder = Folder::new("untrusted");
    let server = server(Offer { trusting: false, ..Offer::secured(&good()) }).await;
    let mut driver = Driver::start(folder.trusting(server.url()));
    let why = driver.until_down().await;
    let own = folder.own();
    assert_eq!(
        why,
        format!(
            "the server at {} does not accept riskgate's certificate (BadCertificateUntrusted); at the server, move \
             it from rejected to trusted: {} (CN=riskgate 54017000701,O=540170007), a copy is {}",
            server.url(),
            own.thumbprint(),
            folder.0.join("own/cert.der").display()
        )
    );
    assert_eq!(server.refused(), [own.der()]);
    assert_eq!(server.n_sessions(), 0);
    server.trust_only(own.der());
    driver.until_number(LEVEL, 40.0).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_wrong_password_is_tried_once_and_leaves_no_session_at_the_server() {
    let folder = Folder::new("password");
    let open = Offer { users: vec![USER], ..Offer::default() };
    let sealed = Offer { users: vec![USER], ..Offer::secured(&good()) };
    for offer in [open, sealed] {
        let is_secured = offer.certified.is_some();
        let server = server(offer).await;
        let mut config = folder.trusting(server.url());
        if !is_secured {
            config.security.channel = Channel::Open;
        }
        config.user = password("wrong");
        let mut driver = Driver::start(config);
        let why = driver.until_down().await;
        assert!(why.contains("refuses user 'op' (Bad") && !why.contains("wrong"), "{why}");
        let told = tokio::time::Instant::now();
        within("the session's end", || async { (server.n_sessions() == 0).then_some(()) }).await;
        assert!(told.elapsed() < SESSION_TIMEOUT / 2, "it is closed, and does not time out");
        assert_eq!(server.n_sessions_ever(), 1, "one try, one session");
        driver.stop().await;
        assert_eq!(server.n_sessions_ever(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_refused_user_certificate_is_told_as_the_users() {
    let folder = Folder::new("bearer");
    let (known, unknown) = (made("Li", "urn:li", -1..10), made("Wang", "urn:wang", -1..10));
    let offer =
        Offer { users: vec![BEARER], user_certificate: known.certificate.clone(), ..Offer::secured(&good()) };
    let server = server(offer).await;
    let mut config = folder.trusting(server.url());
    config.user = User::Certificate(folder.user(&unknown).expect("a user"));
    let mut driver = Driver::start(config);
    let why = driver.until_down().await;
    assert!(why.contains("refuses the user's certificate") && why.contains(&thumbprint(&unknown)), "{why}");
    driver.stop().await;
    let mixed = folder.user(&Certified { certificate: known.certificate, ..unknown });
    let why = mixed.map_err(|error| error.to_string()).expect_err("the key of another");
    assert!(why.contains("is not the key of the certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_secured_session_survives_a_cut_with_what_happened_meanwhile() {
    let folder = Folder::new("cut");
    let server = server(Offer { users: vec![USER], ..Offer::secured(&good()) }).await;
    let proxy = Proxy::to(server.port);
    let mut config = folder.trusting(proxy.url());
    config.user = password(PASSWORD);
    let mut driver = Driver::start(config);
    driver.until_up().await;
    driver.until_number(LEVEL, 40.0).await;
    for round in 1..=3 {
        let base = f64::from(round) * 100.0;
        driver.forget();
        proxy.refuse(true);
        proxy.cut();
        driver.until_down().await;
        for step in [1.0, 2.0, 3.0] {
            server.put("Tank.Level", base + step);
        }
        proxy.refuse(false);
        driver.until_up().await;
        for step in [1.0, 2.0, 3.0] {
            driver.until_number(LEVEL, base + step).await;
        }
        assert_eq!((server.n_sessions(), server.n_sessions_ever()), (1, 1), "the session came back");
    }
    driver.stop().await;
}

/// With 30 days left.
fn ending() -> Certified {
    made("riskgate 54017000701", "urn:riskgate:540170007:54017000701", -3000..30)
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_our_renewed_certificate_waits_until_the_server_trusts_it_and_then_serves() {
    let folder = Folder::new("renewed");
    let old = ending();
    folder.put("own", &old);
    let server = server(Offer { trusting: false, ..Offer::secured(&good()) }).await;
    let mut driver = Driver::start(folder.trusting(server.url()));
    driver.until_down().await;
    server.trust_only(&old.certificate);
    driver.until_number(LEVEL, 40.0).await;
    let both = folder.pki().own().expect("readable").expect("made");
    assert_eq!(both.current.certificate.der(), old.certificate);
    let next = both.next.expect("it was made 90 days before").certificate;
    driver.stop().await;

    // A later session offers it; the server refuses, and the old one serves on.
    let mut driver = Driver::start(folder.trusting(server.url()));
    driver.until_number(LEVEL, 40.0).await;
    assert!(server.refused().iter().any(|refused| refused == next.der()), "the server was offered it");
    driver.stop().await;

    // At the server a person trusts the new one, and not the old one any more.
    server.trust_only(next.der());
    let mut driver = Driver::start(folder.trusting(server.url()));
    driver.until_number(LEVEL, 40.0).await;
    assert!(server.refused().is_empty());
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_a_certificate_of_ours_that_a_person_puts_there_is_taken_up_by_a_running_session() {
    let folder = Folder::new("put");
    let server = server(Offer { trusting: false, ..Offer::secured(&good()) }).await;
    let mut driver = Driver::start(folder.trusting(server.url()));
    driver.until_down().await;
    let made_here = folder.own();
    server.trust_only(made_here.der());
    driver.until_number(LEVEL, 40.0).await;

    driver.forget();
    let put = made("gateway", "urn:plant:gateway", -1..365);
    folder.put("own", &put);
    driver.until_down().await;
    let why = |report: &riskgate_point::Report| {
        matches!(report, riskgate_point::Report::Link { link: riskgate_point::Link::Down { why }, .. }
            if why.contains("does not accept riskgate's certificate") && why.contains(&thumbprint(&put)))
    };
    driver.until("the new one refused", why).await;
    assert_eq!(server.refused(), std::slice::from_ref(&put.certificate));
    server.trust_only(&put.certificate);
    driver.until_number(LEVEL, 40.0).await;
    assert_ne!(folder.own(), made_here);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opcua_security_an_unusable_folder_is_told_and_harms_nobody_else() {
    let folder = Folder::new("broken");
    folder.put("own", &Certified { key: "no key".to_owned(), ..good() });
    let server = server(Offer::secured(&good())).await;
    let mut driver = Driver::start(folder.trusting(server.url()));
    let why = driver.until_down().await;
    let said = "riskgate's own OPC UA certificate cannot be had: ";
    assert!(
        why.starts_with(said) && why.contains("key.pem is no RSA key") && !why.contains("no key."),
        "{why}"
    );
    folder.put("own", &made("gateway", "urn:plant:gateway", -1..365));
    driver.until_number(LEVEL, 40.0).await;
    driver.stop().await;

    let nowhere = Path::new("/dev/null/pki");
    let mut server = folder.trusting(server.url());
    server.security.pki = nowhere.to_owned();
    let mut driver = Driver::start(server);
    let why = driver.until_down().await;
    assert!(why.contains("/dev/null"), "{why}");
    driver.stop().await;
}
