//! How bytes become text: standard base64 with its padding, or lower-case hex.

const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with its padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for triple in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=triple.len()].copy_from_slice(triple);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let symbol = SYMBOLS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= triple.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}

/// The inverse; `None` for anything else, a `+` turned into a space included.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let symbols = text.as_bytes();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take(2).take_while(|symbol| **symbol == b'=').count();
    let (symbols, _) = symbols.split_at(symbols.len() - padding);
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    for quad in symbols.chunks(4) {
        let mut bits = 0_u32;
        for symbol in quad {
            bits = bits << 6 | value(*symbol)?;
        }
        bits <<= 6 * (4 - quad.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..quad.len()]);
    }
    Some(bytes)
}

fn value(symbol: u8) -> Option<u32> {
    let value = match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Two lower-case digits for each byte.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse; `None` for anything else, capital letters included.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_bytes_survives_both_texts() {
        assert_eq!(
            [to_base64(b"a"), to_base64(b"ab"), to_base64(b"abc")],
            ["YQ==", "YWI=", "YWJj"]
        );
        assert_eq!(to_hex(&[0x00, 0x9f, 0xff]), "009fff");
        for length in 0..5_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| 251 - n).collect();
            assert_eq!(from_base64(&to_base64(&bytes)).as_ref(), Some(&bytes));
            assert_eq!(from_hex(&to_hex(&bytes)).as_ref(), Some(&bytes));
        }
        assert_eq!(
            [from_hex("0"), from_hex("0G"), from_hex("FF"), from_base64("YQ")],
            [const { None }; 4]
        );
    }
}
