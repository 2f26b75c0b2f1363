//! Who really sent a request that came through proxies.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::http::HeaderMap;

/// Says whether an address is among those that are meant.
pub type Allow = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The nearest address that is not a trusted proxy's. Whatever stands before it in the header was
/// said by somebody we do not trust. What a trusted proxy says and nobody can read is nobody's
/// address: `0.0.0.0`, which is on no list but one of everybody.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &Allow) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let mut hops = headers.get_all("x-forwarded-for").iter().rev().flat_map(|value| {
        let text = value.to_str().unwrap_or("?");
        text.rsplit(',').map(str::trim)
    });
    while trusted(nearest) {
        let Some(hop) = hops.next() else { break };
        nearest = address(hop).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
    }
    nearest
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|addr| addr.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(peer: &str, forwarded: &[&str], trusted: &'static [&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Allow = Arc::new(|addr| trusted.contains(&addr.to_string().as_str()));
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let found = sender("198.51.100.1", &["52.78.194.237"], &["10.0.0.1"]);
        assert_eq!(found, "198.51.100.1");
        let found = sender("10.0.0.1", &["52.78.194.237"], &["10.0.0.1"]);
        assert_eq!(found, "52.78.194.237");
    }

    #[test]
    fn what_the_sender_itself_wrote_in_front_is_not_believed() {
        let found = sender("10.0.0.1", &["52.78.194.237, 198.51.100.1"], &["10.0.0.1"]);
        assert_eq!(found, "198.51.100.1");
        let found = sender("10.0.0.1", &["52.78.194.237", "198.51.100.1"], &["10.0.0.1"]);
        assert_eq!(found, "198.51.100.1");
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_its_end() {
        let chain = &["52.78.194.237, 10.0.0.2"];
        let found = sender("10.0.0.1", chain, &["10.0.0.1", "10.0.0.2"]);
        assert_eq!(found, "52.78.194.237");
    }

    #[test]
    fn addresses_come_in_several_clothes() {
        for (text, expected) in [
            ("::ffff:52.78.194.237", "52.78.194.237"),
            ("52.78.194.237:4711", "52.78.194.237"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            let found = sender("::ffff:10.0.0.1", &[text], &["10.0.0.1"]);
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(sender("10.0.0.1", &["unknown"], &["10.0.0.1"]), "0.0.0.0");
    }
}
