//! A file system for SQLite that hands everything on to the real one and tells [`disk`] of it. Registered as the
//! default of the process: the store under test is the real one and knows nothing of it.
#![expect(
    unsafe_code,
    reason = "SQLite knows a file system as a table of C functions over raw memory that it owns"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Once;

use rusqlite::ffi;

use crate::disk;

/// What SQLite keeps for an open file: this, and the real one's right behind it.
#[repr(C)]
struct File {
    methods: *const ffi::sqlite3_io_methods,
    /// Of a file that is watched; made and freed by us.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    inode: usize,
    /// The next sync is one of the folder too: SQLite does so once for each journal that it opens.
    syncs_folder: bool,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // The second: memory shared between connections, and no memory maps of the file.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Every connection that this process opens from now on goes through it.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite's own file system is initialised by the first call and lives as long as the process, and so
        // does ours, which is leaked. Its other functions take no file of ours, but for `xOpen` and `xDelete`.
        unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            let real = ffi::sqlite3_vfs_find(ptr::null());
            let mut ours = *real;
            ours.szOsFile += c_int::try_from(size_of::<File>()).expect("a few bytes");
            ours.zName = c"power".as_ptr();
            ours.pNext = ptr::null_mut();
            ours.pAppData = real.cast();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1), ffi::SQLITE_OK);
        }
    });
}

/// # Safety
/// `name` ends with a zero, and is not null.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: as the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    Path::new(OsStr::from_bytes(name.to_bytes())).to_owned()
}

/// The real file system. Its functions get itself and not us: it looks into its own `pAppData`.
///
/// # Safety
/// `vfs` is ours.
unsafe fn real_vfs(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `install` put it there.
    unsafe { (*vfs).pAppData.cast() }
}

/// # Safety
/// `file` is one of ours.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gives each file `szOsFile` bytes, which is ours and the real one's.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// # Safety
/// `file` is one of ours and nobody else uses it meanwhile, which SQLite sees to.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Watched> {
    // SAFETY: null, or made by `open` and freed by `close`.
    unsafe { (*file.cast::<File>()).watched.as_mut() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments, handed on; the real open writes to the real file's part alone. Where it fails and
    // has set no methods, we set none either, and `xClose` is not called.
    unsafe {
        let ours = file.cast::<File>();
        (*ours).methods = ptr::null();
        (*ours).watched = ptr::null_mut();
        let vfs = real_vfs(vfs);
        let code = ((*vfs).xOpen.expect("it has one"))(vfs, name, real(file), flags, out_flags);
        if (*real(file)).pMethods.is_null() {
            return code;
        }
        (*ours).methods = &raw const METHODS;
        if code == ffi::SQLITE_OK && !name.is_null() && flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0 {
            let journals =
                ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
            let syncs_folder = flags & journals != 0 && flags & ffi::SQLITE_OPEN_CREATE != 0;
            let path = path_of(name);
            if let Some(inode) = disk::opened(&path) {
                (*ours).watched = Box::into_raw(Box::new(Watched { path, inode, syncs_folder }));
            }
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: SQLite's arguments, handed on. The real folder is not synced: nobody pulls the real plug.
    unsafe {
        let vfs = real_vfs(vfs);
        let code = ((*vfs).xDelete.expect("it has one"))(vfs, name, 0);
        if code == ffi::SQLITE_OK {
            disk::deleted(&path_of(name), sync_folder != 0);
        }
        code
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file of ours, which SQLite does not use afterwards.
    unsafe {
        let ours = file.cast::<File>();
        if !(*ours).watched.is_null() {
            drop(Box::from_raw((*ours).watched));
            (*ours).watched = ptr::null_mut();
        }
        ((*(*real(file)).pMethods).xClose.expect("it has one"))(real(file))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file of ours, and `count` bytes to write.
    unsafe {
        if let Some(watched) = watched(file) {
            let (count, offset) = (usize::try_from(count), usize::try_from(offset));
            let written = std::slice::from_raw_parts(bytes.cast::<u8>(), count.expect("not negative"));
            disk::wrote(&watched.path, watched.inode, offset.expect("not negative"), written);
        }
        ((*(*real(file)).pMethods).xWrite.expect("it has one"))(real(file), bytes, count, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file of ours.
    unsafe {
        if let Some(watched) = watched(file) {
            disk::truncated(&watched.path, watched.inode, usize::try_from(size).expect("not negative"));
        }
        ((*(*real(file)).pMethods).xTruncate.expect("it has one"))(real(file), size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open file of ours. One that is watched is not really synced: nobody pulls the real plug.
    unsafe {
        if let Some(watched) = watched(file) {
            disk::synced(&watched.path, watched.inode, std::mem::take(&mut watched.syncs_folder));
            return ffi::SQLITE_OK;
        }
        ((*(*real(file)).pMethods).xSync.expect("it has one"))(real(file), flags)
    }
}

/// Hands a call on as it is.
macro_rules! pass_on {
    ($ours:ident = $theirs:ident ( $($argument:ident : $kind:ty),* ) $(-> $result:ty)?) => {
        unsafe extern "C" fn $ours(file: *mut ffi::sqlite3_file, $($argument: $kind),*) $(-> $result)? {
            // SAFETY: an open file of ours, and SQLite's own arguments for the real one.
            unsafe { ((*(*real(file)).pMethods).$theirs.expect("it has one"))(real(file), $($argument),*) }
        }
    };
}

pass_on!(read = xRead(into: *mut c_void, count: c_int, offset: ffi::sqlite3_int64) -> c_int);
pass_on!(file_size = xFileSize(size: *mut ffi::sqlite3_int64) -> c_int);
pass_on!(lock = xLock(level: c_int) -> c_int);
pass_on!(unlock = xUnlock(level: c_int) -> c_int);
pass_on!(check_reserved_lock = xCheckReservedLock(held: *mut c_int) -> c_int);
pass_on!(file_control = xFileControl(what: c_int, argument: *mut c_void) -> c_int);
pass_on!(sector_size = xSectorSize() -> c_int);
pass_on!(device_characteristics = xDeviceCharacteristics() -> c_int);
pass_on!(shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) -> c_int);
pass_on!(shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int);
pass_on!(shm_barrier = xShmBarrier());
pass_on!(shm_unmap = xShmUnmap(remove: c_int) -> c_int);
