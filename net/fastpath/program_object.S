/* The compiled net/fastpath/program.bpf.c, as bytes. */
  .section .rodata
  .balign 8
  .global strata_fastpath_object
strata_fastpath_object:
  .incbin STRATA_FASTPATH_OBJECT
  .global strata_fastpath_object_end
strata_fastpath_object_end:
  .section .note.GNU-stack,"",%progbits
