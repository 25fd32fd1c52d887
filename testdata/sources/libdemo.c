/* A shared library with a soname and a versioned symbol. */
int demo_answer(void) { return 42; }
