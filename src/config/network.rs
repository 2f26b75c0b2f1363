//! A block of internet addresses, as `webhook.allowed_sources` lists them.

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that share their first `prefix` bits. The bits after the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// An IPv4 address that arrives in its IPv6 clothing (`::ffff:1.2.3.4`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(bits(address), width(address), self.prefix) == bits(self.address)
    }
}

impl FromStr for Network {
    type Err = String;

    /// `10.0.0.0/8`, `2001:db8::/32`, or one address without a prefix.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| format!("{text:?} is not an address or a network"))?;
        let width = width(address);
        let prefix = match prefix {
            None => width,
            Some(digits) => {
                digits.parse().ok().filter(|prefix| *prefix <= width).ok_or_else(|| {
                    format!("the prefix of {text:?} is not a number up to {width}")
                })?
            }
        };
        if masked(bits(address), width, prefix) != bits(address) {
            return Err(format!("{text:?} has bits behind its prefix"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(bits: u128, width: u8, prefix: u8) -> u128 {
    let behind = u32::from(width - prefix);
    // A shift by all 128 bits is no shift in Rust, but nothing of the address would stay.
    bits.checked_shr(behind).and_then(|kept| kept.checked_shl(behind)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_prefix() {
        assert!(holds("52.78.194.237/32", "52.78.194.237"));
        assert!(holds("52.78.194.237", "::ffff:52.78.194.237"));
        assert!(!holds("52.78.194.237/32", "52.78.194.236"));
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(holds("::/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_not_a_network_is_refused_with_its_reason() {
        for (text, reason) in [
            ("example.com", "is not an address"),
            ("10.0.0.0/33", "not a number up to 32"),
            ("10.0.0.0/", "not a number up to 32"),
            ("10.0.0.1/8", "bits behind its prefix"),
        ] {
            let refusal = text.parse::<Network>().unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
