/* A device whose power can be cut, and calls of the system that fail. The
 * program that links this has its own fsync, fdatasync, open64 and pread64, and
 * is linked so that libraries find them (ENABLE_EXPORTS). */
#ifndef ACERVO_TESTS_DEVICE_H
#define ACERVO_TESTS_DEVICE_H

#include <stdbool.h>

/* A directory that a device is below: empty, and so is the device. From then on
 * it is noted what syncs of its files and of itself have brought to the device,
 * whichever process made them. Gives the path of a file in it. */
const char *device_begin(const char *name);

/* Has the next sync of a log that holds frames kill this process before
 * anything is on the device; `of_directory`: the next sync of the directory. */
void device_kill_in_sync(bool of_directory);

/* Has the next syncs of the directory fail with that errno. */
void device_fail_directory_syncs(int times, int error);

/* How many syncs this process has made since this was last called. */
int device_syncs(void);

/* The power fails: the path of what is left of the file `device_begin` gave, in
 * a directory of its own. Nothing that was not synced is there, nor is a file
 * whose directory was not. */
const char *device_cut(void);

/* The nth call from now on fails with that errno, once; 0: none. Gives whether
 * the one set before has failed. */
bool fail_open(int nth, int error);
bool fail_read(int nth, int error);

#endif
