//! Which of a server's endpoints is taken, and how the user is shown on it. Pure.
//!
//! What the configuration asks for is taken or nothing: there is no weaker second choice. Where it leaves
//! the policy open, the strongest wins. Of the ways to show the user, the one that protects a password best.

use opcua::types::{EndpointDescription, MessageSecurityMode, UAString, UserTokenPolicy, UserTokenType};

use super::certificate::plain;
use super::security::{Channel, Mode, Policy, User};

const POLICY: &str = "http://opcfoundation.org/UA/SecurityPolicy#";
const NONE: &str = "None";

/// Ways to protect a user's secret, the best first. The old two are still better than none.
const SECRETS: [&str; 6] =
    ["Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Basic256", "Basic128Rsa15", NONE];

/// Of a server's offers in one sentence: all policies with all modes.
const OFFERS_MAX: usize = 20;

/// Why none is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// What the server offers, in words.
    pub(super) offered: String,
    /// What to do about it.
    pub(super) remedy: String,
}

/// One to connect to: with no user but ours, shown in one way, at the configured address.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    pub(super) endpoint: EndpointDescription,
    /// Anyone on the network can read the password.
    pub(super) is_password_in_the_clear: bool,
}

pub(super) fn pick(
    endpoints: Vec<EndpointDescription>,
    channel: Channel,
    user: &User,
    url: &str,
) -> Result<Picked, Unfit> {
    // A server may offer the same over HTTPS.
    let binary = |endpoint: &EndpointDescription| endpoint.endpoint_url.as_ref().starts_with("opc.tcp:");
    let endpoints: Vec<EndpointDescription> = endpoints.into_iter().filter(binary).collect();
    let mut fitting: Vec<(usize, &EndpointDescription)> =
        endpoints.iter().filter_map(|endpoint| Some((rank(endpoint, channel)?, endpoint))).collect();
    fitting.sort_by_key(|(rank, _)| *rank);
    for (_, endpoint) in &fitting {
        if let Some(token) = token(endpoint, user) {
            let is_password_in_the_clear = matches!(user, User::Password { .. })
                && endpoint.security_mode != MessageSecurityMode::SignAndEncrypt
                && short(&token.security_policy_uri) == NONE;
            let mut endpoint = (*endpoint).clone();
            endpoint.endpoint_url = UAString::from(url);
            endpoint.user_identity_tokens = Some(vec![token]);
            return Ok(Picked { endpoint, is_password_in_the_clear });
        }
    }
    let remedy = if fitting.is_empty() { remedy(&endpoints, channel) } else { remedy_of_user(user) };
    Err(Unfit { offered: offered(&endpoints), remedy })
}

/// How good it is, 0 being the best. `None`: it is not what was asked for.
fn rank(endpoint: &EndpointDescription, channel: Channel) -> Option<usize> {
    let policy = short(&endpoint.security_policy_uri);
    match channel {
        Channel::Open => (policy == NONE && endpoint.security_mode == MessageSecurityMode::None).then_some(0),
        Channel::Secured { policy: wanted, mode } => {
            if endpoint.security_mode != on_the_wire(mode) || endpoint.server_certificate.is_null_or_empty() {
                return None;
            }
            let rank = Policy::ALL.iter().position(|known| known.on_the_wire() == policy)?;
            wanted.is_none_or(|wanted| wanted.on_the_wire() == policy).then_some(rank)
        }
    }
}

fn on_the_wire(mode: Mode) -> MessageSecurityMode {
    match mode {
        Mode::Sign => MessageSecurityMode::Sign,
        Mode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
    }
}

/// The best way to show the user on this endpoint, with its policy said outright: the library takes one that
/// is left open for None, which signs nothing.
fn token(endpoint: &EndpointDescription, user: &User) -> Option<UserTokenPolicy> {
    let wanted = match user {
        User::Anonymous => UserTokenType::Anonymous,
        User::Password { .. } => UserTokenType::UserName,
        User::Certificate(_) => UserTokenType::Certificate,
    };
    let said = endpoint.user_identity_tokens.iter().flatten().cloned();
    // A server that names no kind of user takes the anonymous one.
    let anonymous = UserTokenPolicy { token_type: UserTokenType::Anonymous, ..UserTokenPolicy::default() };
    let unsaid = endpoint.user_identity_tokens.iter().all(Vec::is_empty).then_some(anonymous);
    let mut ways: Vec<(usize, UserTokenPolicy)> = said
        .chain(unsaid)
        .filter(|way| way.token_type == wanted)
        .filter_map(|mut way| {
            if way.security_policy_uri.is_empty() {
                way.security_policy_uri = endpoint.security_policy_uri.clone();
            }
            let rank = SECRETS.iter().position(|known| *known == short(&way.security_policy_uri))?;
            Some((rank, way))
        })
        .filter(|(_, way)| {
            let is_clear = short(&way.security_policy_uri) == NONE;
            let has_certificate = !endpoint.server_certificate.is_null_or_empty();
            match user {
                User::Anonymous => true,
                // The library does not sign only and send a password in the clear.
                User::Password { .. } if is_clear => endpoint.security_mode != MessageSecurityMode::Sign,
                User::Password { .. } => has_certificate,
                // It is shown by a signature over the server's certificate.
                User::Certificate(_) => !is_clear && has_certificate,
            }
        })
        .collect();
    ways.sort_by_key(|(rank, _)| *rank);
    ways.into_iter().next().map(|(_, way)| way)
}

fn short(policy: &UAString) -> &str {
    let policy = policy.as_ref();
    policy.strip_prefix(POLICY).unwrap_or(policy)
}

fn offered(endpoints: &[EndpointDescription]) -> String {
    let mut offered: Vec<String> = endpoints
        .iter()
        .map(|endpoint| {
            let policy = short(&endpoint.security_policy_uri);
            let known = Policy::ALL.into_iter().find(|known| known.on_the_wire() == policy);
            let mode = mode_name(endpoint.security_mode);
            let name = known.map_or_else(|| plain(policy), |known| known.name().to_owned());
            format!("{name} {mode}for {}", users(endpoint))
        })
        .collect();
    offered.sort();
    offered.dedup();
    offered.truncate(OFFERS_MAX);
    if offered.is_empty() { "nothing over opc.tcp".to_owned() } else { offered.join("; ") }
}

fn mode_name(mode: MessageSecurityMode) -> &'static str {
    match mode {
        MessageSecurityMode::Sign => "Sign ",
        MessageSecurityMode::SignAndEncrypt => "SignAndEncrypt ",
        MessageSecurityMode::None | MessageSecurityMode::Invalid => "",
    }
}

fn users(endpoint: &EndpointDescription) -> String {
    let name = |token: &UserTokenPolicy| match token.token_type {
        UserTokenType::Anonymous => "anonymous",
        UserTokenType::UserName => "user name",
        UserTokenType::Certificate => "certificate",
        UserTokenType::IssuedToken => "issued token",
    };
    let mut users: Vec<&str> = endpoint.user_identity_tokens.iter().flatten().map(name).collect();
    users.sort_unstable();
    users.dedup();
    if users.is_empty() { "anonymous".to_owned() } else { users.join(", ") }
}

fn remedy(endpoints: &[EndpointDescription], channel: Channel) -> String {
    let fits = |channel| endpoints.iter().any(|endpoint| rank(endpoint, channel).is_some());
    let any = |mode| Channel::Secured { policy: None, mode };
    match channel {
        Channel::Open if fits(any(Mode::SignAndEncrypt)) => {
            "leave policy out of this source: the strongest is taken then".to_owned()
        }
        Channel::Open if fits(any(Mode::Sign)) => {
            "leave policy out of this source and write mode = \"Sign\"".to_owned()
        }
        Channel::Secured { policy: Some(_), mode } if fits(any(mode)) => {
            "leave policy out of this source, or name one of them".to_owned()
        }
        Channel::Secured { mode: Mode::SignAndEncrypt, .. } if fits(any(Mode::Sign)) => {
            "write mode = \"Sign\" in this source, if it may be read on the network".to_owned()
        }
        Channel::Secured { mode: Mode::Sign, .. } if fits(any(Mode::SignAndEncrypt)) => {
            "write mode = \"SignAndEncrypt\" in this source".to_owned()
        }
        Channel::Secured { .. } if fits(Channel::Open) => {
            "let the server offer Basic256Sha256; if it cannot, write policy = \"None\" in this source"
                .to_owned()
        }
        Channel::Open | Channel::Secured { .. } => format!("let the server offer {channel}"),
    }
}

fn remedy_of_user(user: &User) -> String {
    match user {
        User::Anonymous => {
            "write user and password_file in this source, or let the server take anonymous sessions there"
        }
        User::Password { .. } => "let the server take a user name and an encrypted password there",
        User::Certificate(_) => "let the server take users by certificate there",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use opcua::types::ByteString;

    use super::*;
    use crate::opcua::security::{Password, UserCertificate};

    fn way(kind: UserTokenType, policy: &str) -> UserTokenPolicy {
        let uri = if policy.is_empty() { UAString::null() } else { format!("{POLICY}{policy}").into() };
        let id = format!("{kind:?}-{policy}");
        UserTokenPolicy {
            policy_id: id.into(),
            token_type: kind,
            security_policy_uri: uri,
            ..UserTokenPolicy::default()
        }
    }

    fn endpoint(policy: &str, mode: MessageSecurityMode, ways: &[UserTokenPolicy]) -> EndpointDescription {
        EndpointDescription {
            endpoint_url: "opc.tcp://inside:4840".into(),
            security_policy_uri: format!("{POLICY}{policy}").into(),
            security_mode: mode,
            user_identity_tokens: Some(ways.to_vec()),
            server_certificate: ByteString::from(vec![1, 2, 3]),
            ..EndpointDescription::default()
        }
    }

    fn all() -> Vec<EndpointDescription> {
        use MessageSecurityMode::{None, Sign, SignAndEncrypt};
        let ways = [way(UserTokenType::Anonymous, ""), way(UserTokenType::UserName, "")];
        [
            (NONE, None),
            ("Basic128Rsa15", SignAndEncrypt),
            ("Basic256Sha256", Sign),
            ("Basic256Sha256", SignAndEncrypt),
            ("Aes128_Sha256_RsaOaep", SignAndEncrypt),
            ("Aes256_Sha256_RsaPss", Sign),
            ("Aes256_Sha256_RsaPss", SignAndEncrypt),
        ]
        .map(|(policy, mode)| endpoint(policy, mode, &ways))
        .to_vec()
    }

    fn secured(policy: Option<Policy>, mode: Mode) -> Channel {
        Channel::Secured { policy, mode }
    }

    fn picked(endpoints: Vec<EndpointDescription>, channel: Channel, user: &User) -> Result<String, Unfit> {
        let picked = pick(endpoints, channel, user, "opc.tcp://outside:4840")?;
        assert_eq!(picked.endpoint.endpoint_url.as_ref(), "opc.tcp://outside:4840");
        let tokens = picked.endpoint.user_identity_tokens.unwrap();
        let clear = if picked.is_password_in_the_clear { " in the clear" } else { "" };
        let policy = short(&picked.endpoint.security_policy_uri);
        Ok(format!("{policy} {:?} {}{clear}", picked.endpoint.security_mode, tokens[0].policy_id))
    }

    fn name() -> User {
        User::Password { name: "op".to_owned(), password: Password::new("secret") }
    }

    #[test]
    fn what_was_asked_for_is_taken_and_of_any_the_strongest() {
        for (channel, expected) in [
            (Channel::Open, "None None Anonymous-"),
            (Channel::default(), "Aes256_Sha256_RsaPss SignAndEncrypt Anonymous-"),
            (secured(None, Mode::Sign), "Aes256_Sha256_RsaPss Sign Anonymous-"),
            (secured(Some(Policy::Basic256Sha256), Mode::Sign), "Basic256Sha256 Sign Anonymous-"),
            (
                secured(Some(Policy::Aes128Sha256RsaOaep), Mode::SignAndEncrypt),
                "Aes128_Sha256_RsaOaep SignAndEncrypt Anonymous-",
            ),
        ] {
            assert_eq!(picked(all(), channel, &User::Anonymous).as_deref(), Ok(expected), "{channel}");
        }
    }

    #[test]
    fn nothing_weaker_is_taken_and_what_the_server_offers_is_told() {
        let mut endpoints = all();
        endpoints.truncate(3);
        for (channel, remedy) in [
            (Channel::default(), "write mode = \"Sign\" in this source, if it may be read on the network"),
            (
                secured(Some(Policy::Aes256Sha256RsaPss), Mode::Sign),
                "leave policy out of this source, or name one of them",
            ),
        ] {
            let unfit = picked(endpoints.clone(), channel, &User::Anonymous).unwrap_err();
            assert_eq!(unfit.remedy, remedy, "{channel}");
            assert_eq!(
                unfit.offered,
                "Basic128Rsa15 SignAndEncrypt for anonymous, user name; Basic256Sha256 Sign for anonymous, \
                 user name; None for anonymous, user name"
            );
        }
        endpoints.truncate(2);
        let unfit = picked(endpoints.clone(), Channel::default(), &User::Anonymous).unwrap_err();
        assert!(unfit.remedy.ends_with("write policy = \"None\" in this source"), "{unfit:?}");
        endpoints.remove(0);
        let unfit = picked(endpoints, Channel::Open, &User::Anonymous).unwrap_err();
        assert_eq!(unfit.remedy, "let the server offer policy None");
        let unfit = picked(Vec::new(), Channel::default(), &User::Anonymous).unwrap_err();
        assert_eq!(unfit.offered, "nothing over opc.tcp");
    }

    #[test]
    fn a_secured_endpoint_without_a_certificate_is_none() {
        let mut bare = endpoint("Basic256Sha256", MessageSecurityMode::SignAndEncrypt, &[]);
        bare.server_certificate = ByteString::null();
        assert!(picked(vec![bare], Channel::default(), &User::Anonymous).is_err());
    }

    #[test]
    fn a_password_is_shown_as_well_protected_as_the_server_can() {
        use MessageSecurityMode::{None, Sign, SignAndEncrypt};
        let kind = UserTokenType::UserName;
        let ways = [way(kind, NONE), way(kind, "Basic256Sha256"), way(kind, "Unheard_Of")];
        let clear = [way(kind, NONE)];
        for (endpoint, channel, expected) in [
            (endpoint(NONE, None, &ways), Channel::Open, Some("None None UserName-Basic256Sha256")),
            (endpoint(NONE, None, &clear), Channel::Open, Some("None None UserName-None in the clear")),
            (
                endpoint("Basic256Sha256", SignAndEncrypt, &clear),
                Channel::default(),
                Some("Basic256Sha256 SignAndEncrypt UserName-None"),
            ),
            (
                endpoint("Basic256Sha256", Sign, &[way(kind, "")]),
                secured(Option::None, Mode::Sign),
                Some("Basic256Sha256 Sign UserName-"),
            ),
            (endpoint("Basic256Sha256", Sign, &clear), secured(Option::None, Mode::Sign), Option::None),
        ] {
            assert_eq!(picked(vec![endpoint], channel, &name()).ok().as_deref(), expected);
        }
    }

    #[test]
    fn a_user_by_certificate_needs_something_to_sign() {
        let kind = UserTokenType::Certificate;
        let user = User::Certificate(UserCertificate::new("user.der", "user.pem"));
        let sealed = MessageSecurityMode::SignAndEncrypt;
        let open = endpoint(NONE, MessageSecurityMode::None, &[way(kind, NONE)]);
        let unfit = picked(vec![open], Channel::Open, &user).unwrap_err();
        assert_eq!(unfit.remedy, "let the server take users by certificate there");
        let open = endpoint(NONE, MessageSecurityMode::None, &[way(kind, "Basic256Sha256")]);
        assert!(picked(vec![open], Channel::Open, &user).is_ok());
        let left_open = endpoint("Basic256Sha256", sealed, &[way(kind, "")]);
        let picked = pick(vec![left_open], Channel::default(), &user, "opc.tcp://a").unwrap();
        let token = picked.endpoint.user_identity_tokens.unwrap().remove(0);
        assert_eq!(short(&token.security_policy_uri), "Basic256Sha256", "the library would take it for None");
    }

    #[test]
    fn a_server_that_names_no_user_takes_the_anonymous() {
        let mut endpoint = endpoint(NONE, MessageSecurityMode::None, &[]);
        endpoint.user_identity_tokens = None;
        assert!(picked(vec![endpoint.clone()], Channel::Open, &User::Anonymous).is_ok());
        let unfit = picked(vec![endpoint], Channel::Open, &name()).unwrap_err();
        assert_eq!(unfit.offered, "None for anonymous");
    }
}
