/* A disk that can be full: a small tmpfs that only this process sees. */
#ifndef ACERVO_TESTS_SMALL_DISK_H
#define ACERVO_TESTS_SMALL_DISK_H

/* Runs the function in a child with the small disk at scratch_path("small").
 * Skips the running test where the machine allows no mount. */
void on_small_disk(void (*body)(void));

/* Fills the disk with a file, up to about `left` bytes. */
void fill_disk(const char *path, long left);

#endif
