//! Buffer of a body: memory up to [`IN_MEMORY`] bytes, and beyond that an unnamed temporary file.
//!
//! So a body that comes slowly holds a descriptor and little memory, and no thread.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a body that are kept in memory.
pub const IN_MEMORY: usize = 64 << 10;

/// Room that all spools together have in the folder for temporary files, in bytes.
#[derive(Debug)]
pub struct Room {
    used: AtomicU64,
    max: u64,
}

impl Room {
    /// Room of `max` bytes.
    pub fn new(max: u64) -> Arc<Room> {
        Arc::new(Room {
            used: AtomicU64::new(0),
            max,
        })
    }
}

/// A buffer that is written, then read once.
#[derive(Debug)]
pub struct Spool {
    /// All of it, or the end of it that is not in the file yet.
    memory: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    filed: u64,
    room: Arc<Room>,
}

/// Reasons for which a spool takes no more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// All spools together use the room that they have.
    #[error("all bodies together need more than the room for them")]
    Full,
    /// The temporary file failed.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Spool {
    /// An empty buffer.
    pub fn new(room: Arc<Room>) -> Spool {
        Spool {
            memory: Vec::new(),
            file: None,
            filed: 0,
            room,
        }
    }

    /// Bytes in it.
    pub fn len(&self) -> u64 {
        self.filed + self.memory.len() as u64
    }

    /// Whether the next `bytes` bytes go to the file: [`Spool::write`] blocks then.
    pub fn blocks(&self, bytes: usize) -> bool {
        self.memory.len() + bytes > IN_MEMORY
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error`] where the temporary file takes no more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !self.blocks(bytes.len()) {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let more = (self.memory.len() + bytes.len()) as u64;
        let used = self.room.used.fetch_add(more, Ordering::Relaxed);
        // Counted as of this spool from here on: dropping it gives the room back.
        self.filed += more;
        if used + more > self.room.max {
            return Err(Error::Full);
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.memory)?;
        file.write_all(bytes)?;
        self.memory.clear();
        Ok(())
    }

    /// Reader of what was written, from the beginning.
    ///
    /// # Errors
    /// [`io::Error`] of the temporary file.
    pub fn into_reader(mut self) -> io::Result<Reader> {
        if let Some(file) = &mut self.file {
            file.rewind()?;
        }
        Ok(Reader { spool: self, at: 0 })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.filed, Ordering::Relaxed);
    }
}

/// Reader of a spool.
#[derive(Debug)]
pub struct Reader {
    spool: Spool,
    /// Bytes of the memory that were read.
    at: usize,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == 0
            && let Some(file) = &mut self.spool.file
        {
            let n = file.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
        }
        let rest = &self.spool.memory[self.at..];
        let n = buf.len().min(rest.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(room: &Arc<Room>, blocks: &[usize]) -> Result<Spool, Error> {
        let mut spool = Spool::new(room.clone());
        let mut byte = 0_u8;
        for &n in blocks {
            let block: Vec<u8> = (0..n)
                .map(|_| {
                    byte = byte.wrapping_add(1);
                    byte
                })
                .collect();
            spool.write(&block)?;
        }
        Ok(spool)
    }

    #[test]
    fn gives_back_what_was_written_and_its_room() {
        let room = Room::new(1 << 20);
        for blocks in [
            vec![],
            vec![1],
            vec![IN_MEMORY],
            vec![IN_MEMORY, 1],
            vec![IN_MEMORY + 1],
            vec![100_000; 5],
        ] {
            let spool = spool(&room, &blocks).unwrap();
            let total: usize = blocks.iter().sum();
            assert_eq!(spool.len(), total as u64);
            let mut out = Vec::new();
            spool.into_reader().unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out.len(), total);
            assert!(
                out.iter()
                    .enumerate()
                    .all(|(i, &b)| b == (i as u8).wrapping_add(1))
            );
            assert_eq!(room.used.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn takes_no_more_than_the_room_of_all() {
        let room = Room::new(1 << 20);
        let first = spool(&room, &[600_000]).unwrap();
        assert!(matches!(spool(&room, &[600_000]), Err(Error::Full)));
        drop(first);
        assert!(spool(&room, &[600_000]).is_ok());
    }
}
