//! The way to the daemon: its address, who we are, how long we wait.
//!
//! A bearer token comes from a file or from the environment, never from an argument, and goes into
//! the header of a call and nowhere else.

use std::{error::Error, fs, path::PathBuf, time::Duration};

use clap::Args;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::health_client::HealthClient;

use super::{
    Environment, Exit, Failure,
    proto::{
        admin_service_client::AdminServiceClient, token_pool_service_client::TokenPoolServiceClient,
    },
};

const ADDRESS: &str = "ARGOSPOOL_ADDRESS";
const TOKEN_FILE: &str = "ARGOSPOOL_TOKEN_FILE";
const TOKEN: &str = "ARGOSPOOL_TOKEN";
/// Variables of the command line; they look like settings of the daemon and are none.
pub(super) const OWN_VARIABLES: [&str; 3] = [ADDRESS, TOKEN_FILE, TOKEN];

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7070";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// A daemon that is there accepts at once.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What an answer may take beyond the time that the daemon was asked to wait.
const BEYOND_WAIT: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(next_help_heading = "Daemon")]
pub(super) struct RemoteArgs {
    /// Where the daemon listens: http://HOST:PORT or unix:/PATH [env: ARGOSPOOL_ADDRESS] [default:
    /// http://127.0.0.1:7070]
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<String>,
    /// Configured name of the project; not needed while there is only one
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(super) project: String,
    /// File with the bearer token that says who calls [env: ARGOSPOOL_TOKEN_FILE; the token itself:
    /// ARGOSPOOL_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long a call may take, such as 2s [default: 15s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

impl RemoteArgs {
    /// Connects. The daemon is told nothing yet.
    pub(super) async fn connect(&self, environment: &Environment) -> Result<Remote, Failure> {
        let address = match (&self.address, variable(environment, ADDRESS)?) {
            (Some(address), _) => address,
            (None, Some(address)) => address,
            (None, None) => DEFAULT_ADDRESS,
        };
        self.connect_to(address, environment).await
    }

    /// The same, to a daemon that is known to be there.
    pub(super) async fn connect_to(
        &self,
        address: &str,
        environment: &Environment,
    ) -> Result<Remote, Failure> {
        let bearer = self.bearer(environment)?;
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let endpoint = endpoint(address)?.connect_timeout(timeout.min(CONNECT_WITHIN));
        let channel = endpoint.connect().await.map_err(|error| {
            Failure::new(Exit::Unreachable, format!("cannot reach the daemon at {address}"))
                .fact("cause", root_cause(&error))
                .hint("is it running? `argospool serve` starts it and logs where it listens")
                .hint("is it somewhere else? name its address with --address or ARGOSPOOL_ADDRESS")
        })?;
        let project = self.project.clone();
        Ok(Remote { channel, bearer, project, timeout, given: self.timeout.is_some() })
    }

    /// Whether it was said which daemon is meant.
    pub(super) fn names_an_address(&self, environment: &Environment) -> Result<bool, Failure> {
        Ok(self.address.is_some() || variable(environment, ADDRESS)?.is_some())
    }

    /// Empty: the only one there is.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    fn bearer(&self, environment: &Environment) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let file = variable(environment, TOKEN_FILE)?.map(PathBuf::from);
        let token = variable(environment, TOKEN)?;
        let text = match (self.token_file.as_ref(), file.as_ref(), token) {
            (None, Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "{TOKEN_FILE} and {TOKEN} are both set; keep one of the two"
                )));
            }
            (Some(path), _, _) | (None, Some(path), None) => {
                fs::read_to_string(path).map_err(|error| {
                    Failure::failed(format!("cannot read the token file {}", path.display()))
                        .fact("cause", error.to_string())
                })?
            }
            (None, None, Some(token)) => token.to_owned(),
            (None, None, None) => return Ok(None),
        };
        let mut header = match text.trim() {
            "" => return Err(Failure::failed("the bearer token is empty")),
            token => MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Failure::failed("the bearer token holds characters that no header carries")
            })?,
        };
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

/// A daemon that answered the door.
pub(super) struct Remote {
    channel: Channel,
    bearer: Option<MetadataValue<Ascii>>,
    /// For the field of this name in every request.
    pub(super) project: String,
    timeout: Duration,
    /// Whether the caller chose the timeout.
    given: bool,
}

impl Remote {
    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    pub(super) fn pool(&self) -> TokenPoolServiceClient<Channel> {
        TokenPoolServiceClient::new(self.channel.clone())
    }

    pub(super) fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// A message with the deadline and the identity of every call.
    pub(super) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = self.stream(message);
        request.set_timeout(self.timeout);
        request
    }

    /// The same without a deadline, for what goes on until somebody ends it.
    pub(super) fn stream<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    /// Gives the daemon this long at most, unless the caller chose a timeout.
    #[must_use]
    pub(super) fn answering_within(mut self, limit: Duration) -> Self {
        if !self.given {
            self.timeout = self.timeout.min(limit);
        }
        self
    }

    /// Leaves the daemon time to wait for a token, unless the caller chose a timeout.
    #[must_use]
    pub(super) fn allowing(mut self, wait: Duration) -> Self {
        if !self.given {
            self.timeout = self.timeout.max(wait.saturating_add(BEYOND_WAIT));
        }
        self
    }
}

/// A variable that is set and not empty.
fn variable<'a>(environment: &'a Environment, name: &str) -> Result<Option<&'a str>, Failure> {
    match environment.iter().find(|(key, _)| key == name) {
        None => Ok(None),
        Some((_, value)) => match value.to_str() {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None => Err(Failure::usage(format!("{name} is not text in UTF-8"))),
        },
    }
}

/// Reads `http://HOST:PORT`, `HOST:PORT`, `unix:/PATH` and `unix:///PATH`.
fn endpoint(address: &str) -> Result<Endpoint, Failure> {
    let refuse = |why: &str| Failure::usage(format!("cannot use the address: {why}"));
    if let Some(path) = address.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(refuse("expected a path after unix:"));
        }
        return Endpoint::from_shared(format!("unix:{path}"))
            .map_err(|_| refuse("expected unix:/PATH"));
    }
    let uri =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = uri.parse().map_err(|_| refuse("expected http://HOST:PORT or unix:/PATH"))?;
    if uri.scheme_str() != Some("http") {
        return Err(refuse("this release speaks http:// and unix: only"));
    }
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !plain || uri.port_u16().is_none() || uri.path() != "/" || uri.query().is_some() {
        return Err(refuse("expected a host and a port and nothing else"));
    }
    Ok(Endpoint::from(uri))
}

/// The innermost error, which names what the system said.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(address: &str) -> String {
        endpoint(address).map(|_| ()).unwrap_err().to_text()
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        for good in ["http://127.0.0.1:7070", "localhost:7070", "http://[::1]:7070/"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for good in ["unix:/run/argospool.sock", "unix:///run/argospool.sock"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["", "unix:", "https://pool:7070", "http://pool", "http://pool:7070/v1"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let text = reason("http://admin:hunter2@127.0.0.1:7070");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_timeout_leaves_room_for_the_wait_unless_it_was_chosen() {
        let remote = |given| Remote {
            channel: Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
            bearer: None,
            project: String::new(),
            timeout: DEFAULT_TIMEOUT,
            given,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let wait = Duration::from_secs(30);
        assert_eq!(remote(false).allowing(wait).timeout, wait + BEYOND_WAIT);
        assert_eq!(remote(true).allowing(wait).timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn two_bearer_tokens_are_one_too_many() {
        let environment: Environment = [(TOKEN_FILE, "/nowhere"), (TOKEN, "hunter2")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let args =
            RemoteArgs { address: None, project: String::new(), token_file: None, timeout: None };
        let failure = args.bearer(&environment).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.to_text().contains("hunter2"));
    }

    #[test]
    fn a_bearer_token_is_not_shown_by_debug() {
        let environment: Environment = vec![(TOKEN.into(), "hunter2\n".into())];
        let args =
            RemoteArgs { address: None, project: String::new(), token_file: None, timeout: None };
        let bearer = args.bearer(&environment).unwrap().unwrap();
        assert_eq!(bearer.to_str().unwrap(), "Bearer hunter2");
        assert!(!format!("{bearer:?}").contains("hunter2"));
    }
}
