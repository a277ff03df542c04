/*
 * Loaded into the nginx of a node (LD_PRELOAD): counts the system calls of the file system that its processes make
 * on the node's disk, and at one of them kills the process, or lets it fail.
 *
 * What to do stands in a small file that chaos/points writes and every process maps; there it also finds which calls
 * were made. The wrappers are those of the C library's functions that Rust's std and nginx call. A crate that makes
 * system calls without the C library (rustix, in walks through directories) is not seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS 1024

/* As in trio.py. */
struct control {
    int32_t armed;
    int32_t at;     /* act at this call; the first one is 1, 0 is none */
    int32_t until;  /* and at those that follow up to this one */
    int32_t action; /* enum action */
    int32_t error;  /* errno */
    int32_t count;  /* calls so far */
    int32_t hit;    /* the first call at which something was done; 0: none yet */
    int32_t changes; /* those that follow fail only where they would change something */
    struct {
        char name[24];
        char path[232];
    } calls[CALLS];
};

enum action {
    NOTHING,
    KILL,      /* before the call */
    KILL_HALF, /* after half of what was to be written */
    FAIL,      /* instead of the call */
    FAIL_DONE, /* after the call */
    FAIL_HALF, /* after half of what was to be written */
};

static struct control *control;
static char disk[240];
static size_t disk_length;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FILEDIST_POINTS_CONTROL"), *below = getenv("FILEDIST_POINTS_DISK");
    int fd = path && below ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        disk_length = (size_t) snprintf(disk, sizeof disk, "%s", below);
        if (mapped != MAP_FAILED && disk_length < sizeof disk)
            control = mapped;
        close(fd);
    }
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name)

static int is_armed(void)
{
    return control && __atomic_load_n(&control->armed, __ATOMIC_ACQUIRE);
}

static int is_on_disk(const char *path)
{
    return strncmp(path, disk, disk_length) == 0 && (path[disk_length] == '/' || path[disk_length] == '\0');
}

/* What the descriptor has open. */
static void path_of(int fd, char *path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlinkat(AT_FDCWD, link, path, size - 1);
    path[length > 0 ? length : 0] = '\0';
}

static void path_at(int fd, const char *name, char *path, size_t size)
{
    path[0] = '\0';
    if (name[0] != '/' && fd != AT_FDCWD)
        path_of(fd, path, size);
    size_t length = strlen(path);
    if (name[0])
        snprintf(path + length, size - length, "%s%s", length ? "/" : "", name);
}

static int is_change(const char *call)
{
    static const char *const changes[] = {
        "write", "pwrite", "ftruncate", "futimens", "utimensat", "fsync", "fdatasync", "mkdir", "rmdir", "link",
        "unlink", "symlink", "rename",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strncmp(call, changes[i], strlen(changes[i])) == 0)
            return 1;
    return strstr(call, "O_CREAT") != NULL;
}

/* What is to be done at this call. */
static enum action look(const char *call, const char *path)
{
    if (!is_on_disk(path))
        return NOTHING;
    int32_t number = __atomic_add_fetch(&control->count, 1, __ATOMIC_ACQ_REL);
    if (number <= CALLS) {
        strncpy(control->calls[number - 1].path, path + disk_length, sizeof control->calls->path - 1);
        strncpy(control->calls[number - 1].name, call, sizeof control->calls->name - 1);
    }
    if (!control->at || number < control->at || number > control->until)
        return NOTHING;
    if (number > control->at && control->changes && !is_change(call))
        return NOTHING;
    if (!control->hit)
        control->hit = number;
    if (control->action == KILL || (control->action == KILL_HALF && !strstr(call, "write"))) {
        control->armed = 0;
        kill(getpid(), SIGKILL);
    }
    if (control->action == FAIL_HALF && number > control->at)
        return strstr(call, "write") ? FAIL : NOTHING;
    return (enum action) control->action;
}

static enum action look_at(const char *call, int fd, const char *name)
{
    char path[480];
    int before = errno;
    path_at(fd, name, path, sizeof path);
    enum action action = look(call, path);
    errno = before;
    return action;
}

/* close(2) closes, whatever it says. */
#define CALL(type, failed, name, parameters, arguments, fd, path) \
    type name parameters \
    { \
        REAL(name); \
        enum action action = is_armed() ? look_at(#name, fd, path) : NOTHING; \
        if (action == FAIL && strcmp(#name, "close") != 0) { \
            errno = control->error; \
            return failed; \
        } \
        type result = real arguments; \
        if (action >= FAIL) { \
            errno = control->error; \
            return failed; \
        } \
        return result; \
    }

#define BY_PATH(name, parameters, arguments) CALL(int, -1, name, parameters, arguments, AT_FDCWD, path)
#define BY_FD(name, parameters, arguments) CALL(int, -1, name, parameters, arguments, fd, "")

BY_PATH(stat, (const char *restrict path, struct stat *restrict out), (path, out))
BY_PATH(stat64, (const char *restrict path, struct stat64 *restrict out), (path, out))
BY_PATH(lstat, (const char *restrict path, struct stat *restrict out), (path, out))
BY_PATH(lstat64, (const char *restrict path, struct stat64 *restrict out), (path, out))
BY_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
BY_PATH(rmdir, (const char *path), (path))
BY_PATH(unlink, (const char *path), (path))
BY_PATH(rename, (const char *from, const char *path), (from, path))
BY_PATH(link, (const char *from, const char *path), (from, path))
BY_PATH(symlink, (const char *text, const char *path), (text, path))
BY_FD(fsync, (int fd), (fd))
BY_FD(fdatasync, (int fd), (fd))
BY_FD(flock, (int fd, int operation), (fd, operation))
BY_FD(ftruncate, (int fd, off_t length), (fd, length))
BY_FD(ftruncate64, (int fd, off64_t length), (fd, length))
BY_FD(futimens, (int fd, const struct timespec times[2]), (fd, times))
BY_FD(close, (int fd), (fd))
BY_FD(fstat, (int fd, struct stat *out), (fd, out))
BY_FD(fstat64, (int fd, struct stat64 *out), (fd, out))

#define BY_NAME(name, parameters, arguments) CALL(int, -1, name, parameters, arguments, fd, path)

BY_NAME(fstatat, (int fd, const char *restrict path, struct stat *restrict out, int flags), (fd, path, out, flags))
BY_NAME(fstatat64, (int fd, const char *restrict path, struct stat64 *restrict out, int flags), (fd, path, out, flags))
BY_NAME(statx, (int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict out),
    (fd, path, flags, mask, out))
BY_NAME(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
BY_NAME(unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
BY_NAME(symlinkat, (const char *text, int fd, const char *path), (text, fd, path))
BY_NAME(renameat, (int at, const char *from, int fd, const char *path), (at, from, fd, path))
BY_NAME(linkat, (int at, const char *from, int fd, const char *path, int flags), (at, from, fd, path, flags))
BY_NAME(utimensat, (int fd, const char *path, const struct timespec times[2], int flags), (fd, path, times, flags))

CALL(ssize_t, -1, readlink, (const char *restrict path, char *restrict out, size_t size), (path, out, size),
    AT_FDCWD, path)
CALL(ssize_t, -1, readlinkat, (int fd, const char *restrict path, char *restrict out, size_t size),
    (fd, path, out, size), fd, path)
CALL(ssize_t, -1, read, (int fd, void *out, size_t size), (fd, out, size), fd, "")
CALL(ssize_t, -1, pread, (int fd, void *out, size_t size, off_t at), (fd, out, size, at), fd, "")
CALL(ssize_t, -1, pread64, (int fd, void *out, size_t size, off64_t at), (fd, out, size, at), fd, "")
CALL(ssize_t, -1, sendfile, (int to, int fd, off_t *at, size_t size), (to, fd, at, size), fd, "")
CALL(ssize_t, -1, sendfile64, (int to, int fd, off64_t *at, size_t size), (to, fd, at, size), fd, "")
CALL(DIR *, NULL, opendir, (const char *path), (path), AT_FDCWD, path)
CALL(DIR *, NULL, fdopendir, (int fd), (fd), fd, "")
CALL(struct dirent *, NULL, readdir, (DIR *directory), (directory), dirfd(directory), "")
CALL(struct dirent64 *, NULL, readdir64, (DIR *directory), (directory), dirfd(directory), "")

/* The mode is there where O_CREAT or O_TMPFILE is; elsewhere it does not matter what is passed on. */
#define OPEN(name, parameters, arguments, fd, path) \
    int name parameters \
    { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        REAL(name); \
        const char *call = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? #name " O_CREAT" : #name; \
        if ((is_armed() ? look_at(call, fd, path) : NOTHING) >= FAIL) { \
            errno = control->error; \
            return -1; \
        } \
        return real arguments; \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, path)
OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), fd, path)
OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), fd, path)

/* Half of it is written, and then the disk is full, or the process is gone. */
#define WRITE(name, parameters, arguments, half) \
    ssize_t name parameters \
    { \
        REAL(name); \
        enum action action = is_armed() ? look_at(#name, fd, "") : NOTHING; \
        if (action == KILL_HALF || action == FAIL_HALF) { \
            ssize_t result = real half; \
            if (action == KILL_HALF) { \
                control->armed = 0; \
                kill(getpid(), SIGKILL); \
            } \
            return result; \
        } \
        if (action == FAIL) { \
            errno = control->error; \
            return -1; \
        } \
        ssize_t result = real arguments; \
        if (action == FAIL_DONE) { \
            errno = control->error; \
            return -1; \
        } \
        return result; \
    }

WRITE(write, (int fd, const void *from, size_t size), (fd, from, size), (fd, from, (size + 1) / 2))
WRITE(pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at), (fd, from, (size + 1) / 2, at))
WRITE(pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at),
    (fd, from, (size + 1) / 2, at))
WRITE(writev, (int fd, const struct iovec *from, int count), (fd, from, count), (fd, from, (count + 1) / 2))
