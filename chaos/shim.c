/*
 * Loaded into every nginx of a chaos run (LD_PRELOAD): moves the wall clock, and makes a disk slow.
 *
 * What to do stands in a small file that the run writes and every process maps; the mapping is shared, so a
 * change takes effect at once, in the master and in all workers. CLOCK_MONOTONIC is left alone, as a step of a
 * machine's clock leaves it alone, and so are the times of files: a version is what the module says it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* As in shim.py. */
struct control {
    volatile int64_t clock_ns; /* added to the wall clock */
    volatile int64_t delay_us; /* at most this long before and after each call that names or syncs a file */
};

static struct control nothing;
static struct control *control = &nothing;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FILEDIST_CHAOS_CONTROL");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED)
            control = mapped;
        close(fd);
    }
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name)

static int64_t shifted(int64_t seconds, int64_t nanoseconds)
{
    return seconds * 1000000000 + nanoseconds + control->clock_ns;
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    REAL(clock_gettime);
    int result = real(id, time);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t now = shifted(time->tv_sec, time->tv_nsec);
        time->tv_sec = now / 1000000000;
        time->tv_nsec = now % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    (void) zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

static void delay(void)
{
    static __thread unsigned seed;
    int64_t most = control->delay_us;
    if (most > 0) {
        if (!seed)
            seed = (unsigned) getpid() ^ (unsigned) (uintptr_t) &seed;
        usleep((useconds_t) (rand_r(&seed) % (most + 1)));
    }
}

#define SLOW(name, parameters, arguments) \
    int name parameters \
    { \
        REAL(name); \
        delay(); \
        int result = real arguments; \
        if (result == 0) \
            delay(); \
        return result; \
    }

SLOW(fsync, (int fd), (fd))
SLOW(fdatasync, (int fd), (fd))
SLOW(link, (const char *from, const char *to), (from, to))
SLOW(linkat, (int at, const char *from, int to_at, const char *to, int flags), (at, from, to_at, to, flags))
SLOW(symlink, (const char *text, const char *path), (text, path))
SLOW(symlinkat, (const char *text, int at, const char *path), (text, at, path))
SLOW(rename, (const char *from, const char *to), (from, to))
SLOW(renameat, (int at, const char *from, int to_at, const char *to), (at, from, to_at, to))
SLOW(unlink, (const char *path), (path))
SLOW(unlinkat, (int at, const char *path, int flags), (at, path, flags))
