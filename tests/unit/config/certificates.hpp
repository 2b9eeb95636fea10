// Certificates and keys for tests of the loader, made by openssl. For nothing else: everybody has these keys.
#pragma once

namespace pillion::config {

/// Good from 2020 to 2120.
inline constexpr const char* good_certificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBEDCBuAIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAl1bml0LnRlc3QwIBcN\n"
    "MjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCXVuaXQu\n"
    "dGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGY8jLW5DippyTLMid5a/w2x\n"
    "KxOR+8c312dOihw/MABxicBRL8Mf4I6/3ARRHTZCg2v0XvizDp+9vHUc9emjl78w\n"
    "CgYIKoZIzj0EAwIDRwAwRAIgH2APT/0EsQgZIfo/0Z5SXFs7czIsg5S9IsSYQeL0\n"
    "hbUCIG6UoVMiiayxoCGzaHsvZcq7ECIQPPJr2CKvBeBudehq\n"
    "-----END CERTIFICATE-----\n";
/// For the same key, good to 2021-01-02.
inline constexpr const char* expired_certificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBEDCBtgIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAl1bml0LnRlc3QwHhcN\n"
    "MjAwMTAxMDAwMDAwWhcNMjEwMTAyMDAwMDAwWjAUMRIwEAYDVQQDDAl1bml0LnRl\n"
    "c3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARmPIy1uQ4qackyzIneWv8NsSsT\n"
    "kfvHN9dnToocPzAAcYnAUS/DH+COv9wEUR02QoNr9F74sw6fvbx1HPXpo5e/MAoG\n"
    "CCqGSM49BAMCA0kAMEYCIQCuLlbGWHq0QvKVkRblsB4Jt3Z+4QhDa9w7uHSZTIV5\n"
    "3wIhAKENOFoP4VEvYUjVVQe8tDwDhkQCAE/08KW0Vnu/aEsJ\n"
    "-----END CERTIFICATE-----\n";
/// Of both.
inline constexpr const char* good_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoyOAt7mHuzUgs97U\n"
    "KgYoo+qETvUU2l+Ew83MPiUmxSWhRANCAARmPIy1uQ4qackyzIneWv8NsSsTkfvH\n"
    "N9dnToocPzAAcYnAUS/DH+COv9wEUR02QoNr9F74sw6fvbx1HPXpo5e/\n"
    "-----END PRIVATE KEY-----\n";
/// Of neither.
inline constexpr const char* other_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0nUN+dJTkOMoQ32x\n"
    "LS91uSJfoa0HYs3ylYQWpcPQyMahRANCAATEAYklZDlCOlIrOCXuTv6lrHZ8ggYm\n"
    "X8uoLenynTfBlVlk+DF8fXEWAEr9KJSuhoVIAR/IDT3DcFIw6mvRE5Gi\n"
    "-----END PRIVATE KEY-----\n";

}  // namespace pillion::config
