#include "base/openssl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

namespace devid {
namespace {

using testing::HasSubstr;

TEST(TheReasonOfOpenssl, IsTheWholeQueueWithItsDataAndDrainsIt) {
  ERR_clear_error();
  ERR_raise_data(ERR_LIB_USER, ERR_R_PASSED_NULL_PARAMETER, "the %s part", "useful");
  ERR_raise(ERR_LIB_USER, ERR_R_UNSUPPORTED);
  EXPECT_EQ(openssl_reason(), "passed a null parameter: the useful part; unsupported");
  EXPECT_EQ(ERR_peek_error(), 0U);
  EXPECT_EQ(openssl_reason(), "no reason given");
}

TEST(TheReasonOfOpenssl, IsThereForACodeWithoutText) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 77);
  EXPECT_THAT(openssl_reason(), HasSubstr("77"));
}

TEST(TheReasonOfOpenssl, GoesIntoTheError) {
  ERR_clear_error();
  ERR_raise_data(ERR_LIB_USER, ERR_R_UNSUPPORTED, "x");
  const Error error = openssl_error(Errc::internal, Retry::later, "cannot do it");
  EXPECT_EQ(error.sentence(), "cannot do it (unsupported: x)");
  EXPECT_EQ(error.code, Errc::internal);
  EXPECT_EQ(error.retry, Retry::later);
}

TEST(AMemoryBio, GivesWhatWasWrittenToIt) {
  const Bio bio(BIO_new(BIO_s_mem()));
  EXPECT_TRUE(bio_bytes(bio.get()).empty());
  BIO_write(bio.get(), "a\0b", 3);
  EXPECT_EQ(as_text(bio_bytes(bio.get())), std::string_view("a\0b", 3));
}

}  // namespace
}  // namespace devid
