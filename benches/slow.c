/* A read-only view of a folder in which every call takes as long as on a file system over a network.
 *
 *     cc -O2 -pthread -o slow slow.c
 *     slow FOLDER MOUNTPOINT MICROSECONDS       (root; ends when MOUNTPOINT is unmounted)
 *
 * Speaks the kernel's FUSE protocol itself, so that nothing has to be installed. Look-up, attributes,
 * open, read, opening and reading a folder each wait; as on NFS, names and attributes stay known for a
 * minute, and closing costs nothing. Calls wait side by side, up to THREADS of them: the server never
 * becomes the queue. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 512, REQUEST = 64 << 10, REPLY = 1 << 20, VALID_SECONDS = 60 };

static int device;
static const char *source;
static struct timespec delay;

static void die(const char *what) { perror(what); exit(1); }

/* A node is the address of its path; paths live as long as the process. */
static const char *path_of(uint64_t node) { return node == FUSE_ROOT_ID ? source : (const char *)(uintptr_t)node; }

static void fill_attributes(struct fuse_attr *attr, const struct stat *st) {
    *attr = (struct fuse_attr){
        .ino = st->st_ino, .size = st->st_size, .blocks = st->st_blocks, .mode = st->st_mode, .nlink = st->st_nlink,
        .uid = st->st_uid, .gid = st->st_gid, .blksize = st->st_blksize,
        .atime = st->st_atim.tv_sec, .mtime = st->st_mtim.tv_sec, .ctime = st->st_ctim.tv_sec,
        .atimensec = st->st_atim.tv_nsec, .mtimensec = st->st_mtim.tv_nsec, .ctimensec = st->st_ctim.tv_nsec,
    };
}

static int look_up(const struct fuse_in_header *in, void *out) {
    const char *name = (const char *)(in + 1);
    struct fuse_entry_out *entry = out;
    struct stat st;
    char *path;
    if (asprintf(&path, "%s/%s", path_of(in->nodeid), name) < 0) return -ENOMEM;
    if (lstat(path, &st)) {
        int error = errno;
        free(path);
        return -error;
    }
    *entry = (struct fuse_entry_out){
        .nodeid = (uintptr_t)path, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
    fill_attributes(&entry->attr, &st);
    return sizeof *entry;
}

static int attributes(const struct fuse_in_header *in, void *out) {
    struct fuse_attr_out *reply = out;
    struct stat st;
    if (lstat(path_of(in->nodeid), &st)) return -errno;
    *reply = (struct fuse_attr_out){.attr_valid = VALID_SECONDS};
    fill_attributes(&reply->attr, &st);
    return sizeof *reply;
}

static int open_node(const struct fuse_in_header *in, void *out) {
    struct fuse_open_out *reply = out;
    *reply = (struct fuse_open_out){0};
    if (in->opcode == FUSE_OPENDIR) {
        DIR *folder = opendir(path_of(in->nodeid));
        if (!folder) return -errno;
        reply->fh = (uintptr_t)folder;
    } else {
        int fd = open(path_of(in->nodeid), O_RDONLY);
        if (fd < 0) return -errno;
        reply->fh = fd;
    }
    return sizeof *reply;
}

static int read_file(const struct fuse_in_header *in, void *out) {
    const struct fuse_read_in *read = (const void *)(in + 1);
    ssize_t got = pread(read->fh, out, read->size < REPLY ? read->size : REPLY, read->offset);
    return got < 0 ? -errno : got;
}

static int read_folder(const struct fuse_in_header *in, void *out) {
    const struct fuse_read_in *read = (const void *)(in + 1);
    DIR *folder = (DIR *)(uintptr_t)read->fh;
    size_t room = read->size < REPLY ? read->size : REPLY, used = 0;
    seekdir(folder, read->offset);
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        size_t padded = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
        if (used + padded > room) break;
        struct fuse_dirent *reply = (void *)((char *)out + used);
        memset(reply, 0, padded);
        reply->ino = entry->d_ino, reply->off = entry->d_off, reply->type = entry->d_type, reply->namelen = length;
        memcpy(reply->name, entry->d_name, length);
        used += padded;
    }
    return used;
}

static int release(const struct fuse_in_header *in) {
    const struct fuse_release_in *release = (const void *)(in + 1);
    if (in->opcode == FUSE_RELEASEDIR) closedir((DIR *)(uintptr_t)release->fh);
    else close(release->fh);
    return 0;
}

static int file_system(void *out) {
    struct fuse_statfs_out *reply = out;
    struct statfs s;
    if (statfs(source, &s)) return -errno;
    *reply = (struct fuse_statfs_out){.st = {
        .blocks = s.f_blocks, .bfree = s.f_bfree, .bavail = s.f_bavail, .files = s.f_files, .ffree = s.f_ffree,
        .bsize = s.f_bsize, .namelen = s.f_namelen, .frsize = s.f_frsize}};
    return sizeof *reply;
}

static int start(const struct fuse_in_header *in, void *out) {
    const struct fuse_init_in *kernel = (const void *)(in + 1);
    struct fuse_init_out *reply = out;
    /* Without FUSE_PARALLEL_DIROPS the look-ups of one folder would queue in the kernel. */
    *reply = (struct fuse_init_out){
        .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_readahead = kernel->max_readahead,
        .flags = FUSE_PARALLEL_DIROPS, .max_background = THREADS, .congestion_threshold = THREADS, .max_write = 4096};
    return sizeof *reply;
}

/* Length of the reply's body in `out`, or an error as a negative number. */
static int answer(const struct fuse_in_header *in, void *out) {
    switch (in->opcode) {
    case FUSE_INIT: return start(in, out);
    case FUSE_RELEASE: case FUSE_RELEASEDIR: return release(in);
    case FUSE_STATFS: return file_system(out);
    case FUSE_LOOKUP: case FUSE_GETATTR: case FUSE_OPEN: case FUSE_OPENDIR: case FUSE_READ: case FUSE_READDIR: break;
    default: return -ENOSYS; /* the kernel remembers and does not ask again */
    }
    nanosleep(&delay, 0);
    switch (in->opcode) {
    case FUSE_LOOKUP: return look_up(in, out);
    case FUSE_GETATTR: return attributes(in, out);
    case FUSE_READ: return read_file(in, out);
    case FUSE_READDIR: return read_folder(in, out);
    default: return open_node(in, out);
    }
}

static void *serve(void *unused) {
    char *request = aligned_alloc(4096, REQUEST), *reply = aligned_alloc(4096, REPLY + 4096);
    for (;;) {
        if (read(device, request, REQUEST) < 0) {
            if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
            if (errno == ENODEV) return unused; /* unmounted */
            die("/dev/fuse");
        }
        const struct fuse_in_header *in = (const void *)request;
        if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET || in->opcode == FUSE_INTERRUPT) continue;
        struct fuse_out_header *out = (void *)reply;
        int length = answer(in, out + 1);
        *out = (struct fuse_out_header){
            .len = sizeof *out + (length > 0 ? length : 0), .error = length < 0 ? length : 0, .unique = in->unique};
        if (write(device, reply, out->len) < 0 && errno != ENOENT && errno != ENODEV) die("reply");
    }
}

int main(int n, char **args) {
    if (n != 4) {
        fprintf(stderr, "usage: slow FOLDER MOUNTPOINT MICROSECONDS\n");
        return 2;
    }
    source = realpath(args[1], 0);
    if (!source) die(args[1]);
    delay = (struct timespec){.tv_sec = atol(args[3]) / 1000000, .tv_nsec = atol(args[3]) % 1000000 * 1000};
    device = open("/dev/fuse", O_RDWR);
    if (device < 0) die("/dev/fuse");
    char options[80];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (mount("slow", args[2], "fuse.slow", MS_RDONLY | MS_NOSUID | MS_NODEV, options)) die(args[2]);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], 0, serve, 0)) die("pthread_create");
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], 0);
}
