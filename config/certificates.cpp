#include "config/certificates.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

namespace pillion::config {

namespace {

using Bio = std::unique_ptr<BIO, int (*)(BIO*)>;
using Certificate = std::unique_ptr<X509, void (*)(X509*)>;
using Key = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;

Bio bio_of(std::string_view text) { return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free}; }

Certificate certificate_in(std::string_view pem) {
  const Bio bio = bio_of(pem);
  Certificate found{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
  ERR_clear_error();
  return found;
}

// An encrypted key would be asked for at the terminal.
int no_password(char*, int, int, void*) { return -1; }

Key key_in(std::string_view pem) {
  const Bio bio = bio_of(pem);
  Key found{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free};
  ERR_clear_error();
  return found;
}

std::string day_of(const ASN1_TIME* time) {
  std::tm day{};
  char text[16] = "?";
  if (ASN1_TIME_to_tm(time, &day) == 1) std::strftime(text, sizeof text, "%Y-%m-%d", &day);
  return text;
}

}  // namespace

CertificateProblem check_certificate(std::string_view pem) {
  const Certificate certificate = certificate_in(pem);
  if (!certificate) return {" holds no certificate that can be read", {}};
  const ASN1_TIME* end = X509_get0_notAfter(certificate.get());
  if (X509_cmp_current_time(end) < 0) return {{}, " has expired: it was good until " + day_of(end)};
  const ASN1_TIME* begin = X509_get0_notBefore(certificate.get());
  if (X509_cmp_current_time(begin) > 0) return {{}, " is not good yet: it begins at " + day_of(begin)};
  return {};
}

std::string check_private_key(std::string_view pem) {
  if (pem.find("ENCRYPTED") != std::string_view::npos) {
    return " holds an encrypted key, and nobody could be asked for its password: store it decrypted";
  }
  return key_in(pem) ? "" : " holds no private key that can be read";
}

bool fit_together(std::string_view certificate, std::string_view key) {
  const Certificate one = certificate_in(certificate);
  const Key other = key_in(key);
  const bool fit = one && other && X509_check_private_key(one.get(), other.get()) == 1;
  ERR_clear_error();
  return fit;
}

}  // namespace pillion::config
