/* For a process that ends without closing or freeing, which is what it tests. */
#ifndef TESTS_LEAKS_H
#define TESTS_LEAKS_H

/* What is left at the end of this process is no leak. */
void leaks_are_meant(void);

#endif
