/* A shared object that needs libdemo. */
extern int demo_answer(void);
int demo_plugin(void) { return demo_answer() + 1; }
