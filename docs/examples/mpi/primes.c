// Counts the primes below N: every rank sieves its share, MPI_Allreduce adds them up, and a token that
// goes round all ranks shows that each of them reaches the next.
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long count_primes(long first, long end) {
  const long root = (long)sqrt((double)end) + 1;
  char* small = calloc((size_t)root + 1, 1);
  char* own = calloc((size_t)(end - first), 1);
  long count = 0;
  for (long p = 2; p <= root; ++p) {
    if (small[p]) continue;
    for (long n = p * p; n <= root; n += p) small[n] = 1;
    long n = (first + p - 1) / p * p;
    if (n < p * p) n = p * p;
    for (; n < end; n += p) own[n - first] = 1;
  }
  for (long n = first < 2 ? 2 : first; n < end; ++n) count += !own[n - first];
  free(small);
  free(own);
  return count;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const long end = atol(argv[1]);
  int rank, size, name_size;
  char name[MPI_MAX_PROCESSOR_NAME];
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Get_processor_name(name, &name_size);
  const double started = MPI_Wtime();
  long own = count_primes(end / size * rank, rank == size - 1 ? end : end / size * (rank + 1));
  long all = 0;
  MPI_Allreduce(&own, &all, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
  const double seconds = MPI_Wtime() - started;

  long token = 0;  // The sum of all ranks' numbers when it has been everywhere.
  if (rank > 0) MPI_Recv(&token, 1, MPI_LONG, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  token += rank;
  MPI_Send(&token, 1, MPI_LONG, (rank + 1) % size, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    MPI_Recv(&token, 1, MPI_LONG, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  char* names = malloc((size_t)size * sizeof(name));
  MPI_Gather(name, sizeof(name), MPI_CHAR, names, sizeof(name), MPI_CHAR, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    printf("primes %ld token %ld seconds %.3f ranks", all, token, seconds);
    for (int i = 0; i < size; ++i) printf(" %s", names + (size_t)i * sizeof(name));
    printf("\n");
  }
  free(names);
  MPI_Finalize();
  return 0;
}
