/*
 * Loaded into a program before libc (LD_PRELOAD), this counts the calls that change what lies below one folder, writes
 * them into a journal, and misbehaves at one of them. Linux only.
 *
 *   FILE_STEPS_FOLDER   the folder, an absolute path without links
 *   FILE_STEPS_JOURNAL  a file outside of it: a line "number TAB call TAB path below the folder" before each step, such
 *                       a line with the call "!" when the fault comes, and one with "failed" after a step that the
 *                       system itself refused
 *   FILE_STEPS_AT       the step at which the fault comes, counted from 1
 *   FILE_STEPS_ERROR    the errno of error-before and error-after
 *   FILE_STEPS_FAULT    crash-before  SIGKILL instead of the step
 *                       crash-half    half of the bytes are written, then SIGKILL; as crash-before if it writes
 *                                     nothing
 *                       crash-after   the step, then SIGKILL
 *                       error-before  the step fails and has no effect
 *                       error-after   the step has its effect, and says that it failed
 *                       pause-before  SIGSTOP, and the step after somebody's SIGCONT
 *                       full-from     this step and all after it that need room fail with ENOSPC
 *
 * For link and rename the path is the new one. The calls go to the kernel by themselves: nothing of libc's file
 * functions is used that could come back here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NOTHING, CRASH_BEFORE, CRASH_HALF, CRASH_AFTER, ERROR_BEFORE, ERROR_AFTER, PAUSE_BEFORE, FULL_FROM };

static const char *const FAULTS[] = {"",           "crash-before", "crash-half",   "crash-after", "error-before",
                                     "error-after", "pause-before", "full-from"};

static const char *folder;
static size_t folder_length;
static int journal = -1;
static long at;
static int error;
static enum fault fault;
static atomic_long steps;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FILE_STEPS_JOURNAL");
    const char *number = getenv("FILE_STEPS_AT");
    const char *code = getenv("FILE_STEPS_ERROR");
    const char *name = getenv("FILE_STEPS_FAULT");
    folder = getenv("FILE_STEPS_FOLDER");
    if (!folder || !path)
        return;
    folder_length = strlen(folder);
    at = number ? atol(number) : 0;
    error = code ? atoi(code) : EIO;
    for (int i = NOTHING; name && i <= FULL_FROM; i++)
        if (strcmp(name, FAULTS[i]) == 0)
            fault = i;
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (journal < 0)
        abort();
}

static void note(long number, const char *call, const char *path) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%s\n", number, call, path);
    if (syscall(SYS_write, journal, line, (size_t)length) != length)
        abort();
}

/* The path below the folder; NULL when it lies elsewhere. */
static const char *below(const char *path) {
    if (strncmp(path, folder, folder_length) != 0)
        return NULL;
    path += folder_length;
    return *path == '/' ? path + 1 : *path == '\0' ? path : NULL;
}

static const char *link_target(const char *link, char *buffer) {
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = '\0';
    return buffer;
}

/* What an open file is called. */
static const char *name_of(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return below(link_target(link, buffer));
}

/* Where a path leads. */
static const char *place_of(int parent, const char *path, char *buffer) {
    if (path[0] == '/')
        return below(path);
    char link[64] = "/proc/self/cwd";
    if (parent != AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/fd/%d", parent);
    link_target(link, buffer);
    size_t length = strlen(buffer);
    snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return below(buffer);
}

static void end_here(void) {
    raise(SIGKILL);
    for (;;)
        pause();
}

/* What is to be done at this step. */
static enum fault step(const char *call, const char *path, int needs_room) {
    long number = atomic_fetch_add(&steps, 1) + 1;
    note(number, call, path);
    enum fault now = NOTHING;
    if (fault == FULL_FROM)
        now = number >= at && needs_room ? FULL_FROM : NOTHING;
    else if (number == at)
        now = fault;
    if (now != NOTHING)
        note(number, "!", path);
    if (now == CRASH_BEFORE)
        end_here();
    if (now == PAUSE_BEFORE)
        raise(SIGSTOP);
    return now;
}

static long fail(int code) {
    errno = code;
    return -1;
}

/* Does SYSCALL as a step named CALL at PATH; WRITTEN says how many bytes it would write half of. */
#define STEP(CALL, PATH, ROOM, SYSCALL, HALF, UNDO)                                                                    \
    do {                                                                                                               \
        const char *path_ = journal < 0 ? NULL : (PATH);                                                               \
        if (!path_)                                                                                                    \
            return SYSCALL;                                                                                            \
        enum fault now_ = step(CALL, path_, ROOM);                                                                     \
        if (now_ == ERROR_BEFORE)                                                                                      \
            return fail(error);                                                                                        \
        if (now_ == FULL_FROM)                                                                                         \
            return fail(ENOSPC);                                                                                       \
        if (now_ == CRASH_HALF) {                                                                                      \
            HALF;                                                                                                      \
            end_here();                                                                                                \
        }                                                                                                              \
        long done_ = SYSCALL;                                                                                          \
        if (now_ == CRASH_AFTER)                                                                                       \
            end_here();                                                                                                \
        if (done_ < 0) {                                                                                               \
            int code_ = errno;                                                                                         \
            note(atomic_load(&steps), "failed", path_);                                                                \
            return fail(code_);                                                                                        \
        }                                                                                                              \
        if (now_ == ERROR_AFTER) {                                                                                     \
            UNDO;                                                                                                      \
            return fail(error);                                                                                        \
        }                                                                                                              \
        return done_;                                                                                                  \
    } while (0)

static long open_step(int parent, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    int changes = flags & (O_CREAT | O_TRUNC);
    STEP("create", changes ? place_of(parent, path, buffer) : NULL, 1,
         syscall(SYS_openat, parent, path, flags, mode), (void)0, syscall(SYS_close, (int)done_));
}

#define MODE()                                                                                                         \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE();
    return (int)open_step(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE();
    return (int)open_step(AT_FDCWD, path, flags, mode);
}

int openat(int parent, const char *path, int flags, ...) {
    MODE();
    return (int)open_step(parent, path, flags, mode);
}

int openat64(int parent, const char *path, int flags, ...) {
    MODE();
    return (int)open_step(parent, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    char buffer[PATH_MAX];
    STEP("write", name_of(fd, buffer), 1, syscall(SYS_write, fd, bytes, count),
         syscall(SYS_write, fd, bytes, count / 2), (void)0);
}

static ssize_t pwrite_step(int fd, const void *bytes, size_t count, off_t offset) {
    char buffer[PATH_MAX];
    STEP("write", name_of(fd, buffer), 1, syscall(SYS_pwrite64, fd, bytes, count, offset),
         syscall(SYS_pwrite64, fd, bytes, count / 2, offset), (void)0);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_step(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_step(fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char buffer[PATH_MAX];
    STEP("write", name_of(fd, buffer), 1, syscall(SYS_writev, fd, parts, count),
         syscall(SYS_writev, fd, parts, count / 2), (void)0);
}

int ftruncate(int fd, off_t length) {
    char buffer[PATH_MAX];
    STEP("truncate", name_of(fd, buffer), 0, syscall(SYS_ftruncate, fd, length), (void)0, (void)0);
}

int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int fsync(int fd) {
    char buffer[PATH_MAX];
    STEP("sync", name_of(fd, buffer), 0, syscall(SYS_fsync, fd), (void)0, (void)0);
}

int fdatasync(int fd) {
    char buffer[PATH_MAX];
    STEP("sync", name_of(fd, buffer), 0, syscall(SYS_fdatasync, fd), (void)0, (void)0);
}

int renameat2(int from_parent, const char *from, int parent, const char *path, unsigned int flags) {
    char buffer[PATH_MAX];
    STEP("rename", place_of(parent, path, buffer), 0,
         syscall(SYS_renameat2, from_parent, from, parent, path, flags), (void)0, (void)0);
}

int renameat(int from_parent, const char *from, int parent, const char *path) {
    return renameat2(from_parent, from, parent, path, 0);
}

int rename(const char *from, const char *path) { return renameat2(AT_FDCWD, from, AT_FDCWD, path, 0); }

int linkat(int from_parent, const char *from, int parent, const char *path, int flags) {
    char buffer[PATH_MAX];
    STEP("link", place_of(parent, path, buffer), 1, syscall(SYS_linkat, from_parent, from, parent, path, flags),
         (void)0, (void)0);
}

int link(const char *from, const char *path) { return linkat(AT_FDCWD, from, AT_FDCWD, path, 0); }

int unlinkat(int parent, const char *path, int flags) {
    char buffer[PATH_MAX];
    STEP("remove", place_of(parent, path, buffer), 0, syscall(SYS_unlinkat, parent, path, flags), (void)0, (void)0);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int parent, const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    STEP("folder", place_of(parent, path, buffer), 1, syscall(SYS_mkdirat, parent, path, mode), (void)0, (void)0);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
