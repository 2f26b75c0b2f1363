//! A backup: the records of a data directory as one file that says what it is.
//!
//! A line for people, then frames: the length of a piece in four bytes, the piece, and the digest of
//! everything up to there. So a file that was cut off, changed or put together from two is told from a
//! whole one, and the first bad frame by its place. The last piece says how many there must be.

use std::io::{self, Read, Write};

use prost::Message;
use sha2::{Digest, Sha256};

use super::record::{Piece, PieceRecord, PrefaceRecord};

const FIRST_LINE: &[u8] = b"argospool ledger backup\n";
/// Raised when a reader of the previous version would misread what this one writes.
const BACKUP_FORMAT: u32 = 1;
/// No piece is larger: values of a ledger are below 120 kB.
const PIECE_MAX: usize = 1 << 20;
const SEAL: usize = 32;

/// Why a file cannot be read as a backup, or not be written as one.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackupError {
    #[error("it is no backup of a ledger: its first line is another one")]
    Foreign,
    #[error(
        "it has format {0} and this version reads up to {BACKUP_FORMAT}: \
         import it with the version that wrote it, or a newer one"
    )]
    Newer(u32),
    #[error("it ends at byte {0}, before its end: it was cut off or copied in part")]
    Cut(u64),
    #[error("it is damaged between byte {from} and byte {to}")]
    Damaged { from: u64, to: u64 },
    #[error("it goes on after its end, at byte {0}")]
    Longer(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A backup that is being written.
pub(super) struct Writer<W> {
    out: W,
    digest: Sha256,
    pieces: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(out: W, made: u64, version: &str) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), pieces: 0 };
        writer.write(FIRST_LINE)?;
        let version = version.to_owned();
        writer.put(Piece::Preface(PrefaceRecord { format: BACKUP_FORMAT, made, version }))?;
        Ok(writer)
    }

    pub(super) fn put(&mut self, piece: Piece) -> io::Result<()> {
        let piece = PieceRecord { piece: Some(piece) }.encode_to_vec();
        let length = u32::try_from(piece.len()).ok().filter(|_| piece.len() <= PIECE_MAX);
        let length = length.ok_or_else(|| io::Error::other("a record is too large"))?;
        self.write(&length.to_be_bytes())?;
        self.write(&piece)?;
        let seal = self.digest.clone().finalize();
        self.out.write_all(&seal)?;
        self.pieces += 1;
        Ok(())
    }

    /// Writes the end; without it the file counts as cut off.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.put(Piece::End(self.pieces))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes)
    }
}

/// A backup that is being read, piece by piece.
pub(super) struct Reader<R> {
    input: R,
    digest: Sha256,
    at: u64,
    pieces: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(input: R) -> Result<(Self, PrefaceRecord), BackupError> {
        let mut reader = Self { input, digest: Sha256::new(), at: 0, pieces: 0 };
        let mut line = [0; FIRST_LINE.len()];
        if reader.read(&mut line).is_err() || line != FIRST_LINE {
            return Err(BackupError::Foreign);
        }
        let from = reader.at;
        match reader.next()? {
            Some(Piece::Preface(preface)) if preface.format > BACKUP_FORMAT => {
                Err(BackupError::Newer(preface.format))
            }
            Some(Piece::Preface(preface)) => Ok((reader, preface)),
            Some(_) | None => Err(BackupError::Damaged { from, to: reader.at }),
        }
    }

    /// The next piece; `None` after the last one, when the file is whole.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        let from = self.at;
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > PIECE_MAX {
            return Err(BackupError::Damaged { from, to: self.at });
        }
        let mut piece = vec![0; length];
        self.read(&mut piece)?;
        let expected = self.digest.clone().finalize();
        let mut seal = [0; SEAL];
        self.take(&mut seal)?;
        let damaged = || BackupError::Damaged { from, to: self.at };
        if seal[..] != expected[..] {
            return Err(damaged());
        }
        let piece = PieceRecord::decode(&*piece).map_err(|_| damaged())?.piece;
        match piece.ok_or_else(damaged)? {
            Piece::End(pieces) if pieces != self.pieces => Err(damaged()),
            Piece::End(_) => match self.take(&mut [0]) {
                Err(BackupError::Cut(_)) => Ok(None),
                Err(error) => Err(error),
                Ok(()) => Err(BackupError::Longer(self.at - 1)),
            },
            piece @ (Piece::Preface(_) | Piece::Ledger(_) | Piece::Records(_)) => {
                self.pieces += 1;
                Ok(Some(piece))
            }
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.take(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    fn take(&mut self, mut bytes: &mut [u8]) -> Result<(), BackupError> {
        while !bytes.is_empty() {
            match self.input.read(bytes) {
                Ok(0) => return Err(BackupError::Cut(self.at)),
                Ok(read) => {
                    self.at += read as u64;
                    bytes = &mut bytes[read..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::{GroupRecord, LedgerRecord};

    fn pieces() -> Vec<Piece> {
        let project = "default".to_owned();
        let records = GroupRecord { tokens_gone: vec![7; 900], ..GroupRecord::default() };
        let ledger = LedgerRecord { project, head: None };
        vec![Piece::Ledger(ledger), Piece::Records(records.clone()), Piece::Records(records)]
    }

    fn written(pieces: Vec<Piece>) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), 1_800_000_000_000, "1.2.3").unwrap();
        pieces.into_iter().for_each(|piece| writer.put(piece).unwrap());
        writer.end().unwrap()
    }

    fn read(file: &[u8]) -> Result<Vec<Piece>, BackupError> {
        let (mut reader, _) = Reader::begin(file)?;
        std::iter::from_fn(|| reader.next().transpose()).collect()
    }

    #[test]
    fn what_was_put_is_what_is_read() {
        assert!(read(&written(pieces())).unwrap() == pieces());
        let (_, preface) = Reader::begin(&*written(Vec::new())).unwrap();
        assert_eq!((preface.made, preface.version.as_str()), (1_800_000_000_000, "1.2.3"));
    }

    /// The bytes of a backup are a format: a reader of tomorrow finds them as they are here.
    #[test]
    fn a_backup_is_a_line_and_frames_that_are_sealed_by_all_before_them() {
        let file = written(Vec::new());
        let mut expected = b"argospool ledger backup\n\0\0\0\x12".to_vec();
        let preface = b"\x0a\x10\x08\x01\x10\x80\xa0\xf1\xc2\xb1\x34\x1a\x051.2.3";
        expected.extend(preface);
        expected.extend(Sha256::digest(&expected));
        let mut digested = b"argospool ledger backup\n\0\0\0\x12".to_vec();
        digested.extend(preface);
        digested.extend(b"\0\0\0\x02\x20\x01");
        expected.extend(b"\0\0\0\x02\x20\x01");
        expected.extend(Sha256::digest(&digested));
        assert_eq!(file, expected);
    }

    #[test]
    fn a_file_that_ends_anywhere_before_its_end_is_cut_off() {
        let file = written(pieces());
        for length in FIRST_LINE.len()..file.len() {
            let told = read(&file[..length]).err().unwrap();
            assert!(matches!(told, BackupError::Cut(at) if at as usize == length), "{told}");
        }
        assert!(matches!(read(&file[..9]), Err(BackupError::Foreign)));
        assert!(matches!(read(b""), Err(BackupError::Foreign)));
    }

    #[test]
    fn one_changed_bit_anywhere_is_found_and_its_place_is_told() {
        let file = written(pieces());
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1 << (at % 8);
            match read(&changed).err().unwrap_or_else(|| panic!("byte {at} was not missed")) {
                BackupError::Foreign => assert!(at < FIRST_LINE.len()),
                BackupError::Damaged { from, .. } => assert!(from as usize <= at),
                // A length that was changed reaches beyond the end.
                BackupError::Cut(end) => assert_eq!(end as usize, file.len()),
                other @ (BackupError::Newer(_) | BackupError::Longer(_) | BackupError::Io(_)) => {
                    panic!("byte {at}: {other}")
                }
            }
        }
    }

    #[test]
    fn pieces_of_two_files_make_none() {
        let mut file = written(pieces());
        let other = written(Vec::new());
        file.extend(&other[FIRST_LINE.len()..]);
        assert!(matches!(read(&file), Err(BackupError::Longer(_))));
        let mut lacking = pieces();
        lacking.remove(1);
        let (whole, lacking) = (written(pieces()), written(lacking));
        let end = whole.len() - lacking.len();
        let spliced = [&lacking[..lacking.len() / 2], &whole[lacking.len() / 2 + end..]].concat();
        assert!(matches!(read(&spliced), Err(BackupError::Damaged { .. })));
    }

    #[test]
    fn a_format_of_tomorrow_is_named() {
        let mut writer = Writer { out: Vec::new(), digest: Sha256::new(), pieces: 0 };
        writer.write(FIRST_LINE).unwrap();
        let preface = PrefaceRecord { format: 9, ..PrefaceRecord::default() };
        writer.put(Piece::Preface(preface)).unwrap();
        let told = read(&writer.end().unwrap()).err().unwrap().to_string();
        assert!(told.contains("format 9") && told.contains("newer one"), "{told}");
    }
}
