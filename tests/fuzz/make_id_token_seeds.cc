// Seeds for fuzz_id_token: one good text of each kind.
#include "common/file_io.h"
#include "common/log.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string corpus = argv[1];
  CHECK(strata::MakeDirectories(corpus).ok());
  const char* const seeds[] = {
      // RFC 7515, appendix A.3.
      ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
       "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
       "pmWQxfKTUJqPP3-Kg6NU1Q"),
      "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}",
      ("{\"iss\":\"joe\",\"aud\":[\"strata\",\"x\"],\"azp\":\"strata\",\"sub\":\"s\",\"iat\":"
       "1299999999,"
       "\"nbf\":1,\"exp\":1300000300.5,\"nonce\":\"n\",\"name\":\"A "
       "B\",\"preferred_username\":\"a\","
       "\"email\":\"a@b\",\"email_verified\":true}"),
      ("{\"keys\":[{\"kid\":\"1\",\"use\":\"sig\",\"alg\":\"ES256\",\"kty\":\"EC\",\"crv\":\"P-"
       "256\","
       "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
       "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
      // RFC 7515, appendix A.2.
      ("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
       "wWJcyQoTbji9"
       "k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
       "YpRPEwOWvG6b32690r2"
       "jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
       "UTo7WTBEMa2R2CapHg665xsmtdV"
       "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
       "h9iaGNj8q2ethFkMLs91kzk2PAcDT"
       "W9gb54h4FRWyuXpoQ\"}]}"),
      ("{\"issuer\":\"joe\",\"authorization_endpoint\":\"https://i/a\",\"token_endpoint\":\"https:/"
       "/i/t\""
       ",\"jwks_uri\":\"http://127.0.0.1:8/"
       "k\",\"authorization_response_iss_parameter_supported\":false}"),
      "code=c%20d&state=s&iss=joe",
      "state=s&iss=joe&error=access_denied&error_description=a+b",
      "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":\"a.b.c\"}",
  };
  int number = 0;
  for (const char* seed : seeds) {
    CHECK(strata::WriteFileAtomically(corpus + "/" + std::to_string(number++), seed).ok());
  }
  return 0;
}
